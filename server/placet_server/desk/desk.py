"""Where the operator's commands are carried out."""

from __future__ import annotations

from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from placet_server.carriers import Carriers
from placet_server.delivery.webhooks import WebhookSender
from placet_server.domain.services import Domain
from placet_server.ports import Clock, Entropy, Store

Answer = dict[str, Any] | list[Any]
"""What a command answers, as JSON."""


class Desk(NamedTuple):
    """Everything that a command may use; ``log_origin`` and ``log_key`` are those of the audit log's checkpoints."""

    domain: Domain
    store: Store
    clock: Clock
    entropy: Entropy
    sender: WebhookSender
    carriers: Carriers
    log_origin: str
    log_key: Ed25519PrivateKey
