"""What an Authy client's server hears when a person has answered.

    POST callback_url                                  GET callback_url?the same, flattened
    X-Authy-Signature: base64 HMAC (authysign.py)      X-TFA-Signature: the same
    X-Authy-Signature-Nonce: seconds                   X-TFA-Signature-Nonce: the same

    {"authy_id":7,"callback_action":"approval_request_status","status":"approved","uuid":…,"device_uuid":"…",
     "approval_request":{"transaction":{…},"expiration_timestamp":…,"logos":null,"app_id":…},"signature":…,"device":{…}}

Quirks: ``device_uuid`` is a text because one client insists on it; an empty list or hash is null, because no client can
verify ``[]``. Body, nonce and signature are made for each attempt; the body is the same every time.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from placet_protocol.jose import unb64u
from placet_server.domain.credentials import CredentialInfo
from placet_server.domain.outbox import Exchange, Item
from placet_server.domain.refusals import RefusedError
from placet_server.domain.services import Domain
from placet_server.domain.values import Approval
from placet_server.faces.authyapproval import outward
from placet_server.faces.authyparts import device_facts, hex24, number
from placet_server.faces.authysign import canonical, signature
from placet_server.faces.params import pairs
from placet_server.faces.rack import NestingError, nested
from placet_server.faces.switches import switch

_JSON: Final = "application/json;charset=utf-8"


class AuthyCallbacks:
    """Makes the callbacks of ended requests from what is stored."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    async def exchange(self, item: Item, now: int) -> Exchange | None:
        """The signed callback at ``now`` (ms UTC); None when the credential is gone or wants none for this end."""
        try:
            credential = await self._domain.credentials.one(item.target)
            approval = await self._domain.approvals.get(credential.application, item.subject, now)
        except RefusedError:
            return None
        url = credential.settings.get("callback_url")
        status = outward(approval.status)
        key = await self._key(credential)
        wanted = status in {"approved", "denied"} or (
            status == "expired" and switch(credential, "callback_expired")
        )
        if not url or key is None or not wanted:
            return None
        method: Literal["GET", "POST"] = (
            "GET" if credential.settings.get("callback_method") == "GET" else "POST"
        )
        return signed(credential, key, method, url, await self._body(credential, approval, status), now)

    async def _key(self, credential: CredentialInfo) -> str | None:
        if switch(credential, "callback_key") == "signing_key":
            return (await self._domain.credentials.settings(credential.id)).get("signing_key")
        return await self._domain.credentials.secret(credential.id)

    async def _body(self, credential: CredentialInfo, approval: Approval, status: str) -> dict[str, Any]:
        device = await self._domain.devices.by_id(approval.device) if approval.device else None
        document = await self._domain.decisions.document(approval.id)
        uuid = number(approval.device or "")
        draft = approval.draft
        transaction = {
            "details": dict(draft.visible) or None,
            "device_details": None,
            "device_geolocation": None,
            "device_signing_time": (approval.decided_at or approval.expires_at) // 1000,
            "encrypted": False,
            "flagged": approval.reason == "not_me",
            "hidden_details": draft.hidden or None,
            "message": draft.message,
            "reason": approval.reason,
            "requester_details": None,
            "status": status,
            "uuid": approval.id,
            "created_at_time": approval.created_at // 1000,
            "customer_uuid": None,
        }
        return {
            "authy_id": approval.tfa_id,
            "device_uuid": uuid if switch(credential, "device_uuid") == "number" else str(uuid),
            "callback_action": "approval_request_status",
            "uuid": approval.id,
            "status": status,
            "approval_request": {
                "transaction": transaction,
                "expiration_timestamp": approval.expires_at // 1000,
                "logos": [{"res": res, "url": url} for res, url in draft.logos] or None,
                "app_id": hex24(approval.application),
            },
            "signature": _device_signature(document),
            "device": device_facts(device, approval.created_at, approval.decided_at),
        }


def signed(
    credential: CredentialInfo,
    key: str,
    method: Literal["GET", "POST"],
    url: str,
    body: dict[str, Any],
    now: int,
) -> Exchange:
    """The exchange that carries a body, with its signature; the query of a GET holds what the URL had, too."""
    parts = urlsplit(url)
    if method == "GET":
        try:
            body = {**nested(pairs(parts.query)), **body}
        except (NestingError, ValueError):  # what nobody can read again cannot be signed for either
            parts = parts._replace(query="")
    canon = canonical(body, tilde=switch(credential, "callback_tilde") == "plain")
    nonce = str(now // 1000)
    signs = signature(key, nonce, method, url, canon)
    headers = {}
    for name in ("X-Authy", "X-TFA"):
        headers[f"{name}-Signature"] = signs
        headers[f"{name}-Signature-Nonce"] = nonce
    target = parts._replace(path=parts.path or "/")
    if method == "GET":
        return Exchange(method, target._replace(query="").geturl(), headers, None, canon)
    headers["Content-Type"] = _JSON
    return Exchange(method, target.geturl(), headers, json.dumps(body, separators=(",", ":")).encode())


def _device_signature(document: str | None) -> str:
    """The signature of the decision as base64; Authy's is another algorithm's, and no client looks into it."""
    return base64.b64encode(unb64u(document.rpartition(".")[2])).decode() if document else "none"
