"""``receipt``: proof of an answer, checked offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from placet_authenticator import printing
from placet_authenticator.errors import ImportFailedError, UntrustedError
from placet_protocol.errors import ProtocolError

MAX_FILE = 1_000_000


@click.group()
def receipt() -> None:
    """Check receipts, the server's signed proofs of who answered what."""


@receipt.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--keys",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The server's key set, saved from /.well-known/jwks.json.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def verify(file: Path, keys: Path, as_json: bool) -> None:  # noqa: FBT001  click passes flags
    """Check a receipt with nothing but the server's public keys: no vault, no network.

    FILE holds the receipt itself or the JSON answer that carried it. Exit status 6 when it does not hold.
    """
    from placet_protocol.receipt import verify as check  # loads the signed documents

    document = _document(_read(file))
    try:
        proven = check(document, _keys(_read(keys), keys))
    except ProtocolError as error:
        raise UntrustedError(f"the receipt does not hold: {error.detail}", "Do not rely on it") from error
    request = proven.request
    if as_json:
        printing.as_json(
            {
                "outcome": proven.outcome,
                "reason": proven.reason,
                "decided_at": printing.timestamp(proven.decided_at * 1000),
                "id": request.rid,
                "server": request.iss,
                "application": request.rp.name,
                "message": request.msg,
                "visible": [list(pair) for pair in request.vis],
                "device": proven.device.did,
                "digest": proven.decision.rqh,
                "notes": proven.notes,
            }
        )
        return
    printing.line(f"{proven.outcome}: the receipt holds", bold=True)
    printing.fields(
        [
            ("Message", request.msg),
            *(("· " + label, value) for label, value in request.vis),
            ("Application", request.rp.name),
            ("Server", request.iss),
            ("Decided", f"{printing.timestamp(proven.decided_at * 1000)} ({proven.reason})"),
            ("Device", proven.device.did),
            ("Digest", proven.decision.rqh),
            *(("Note", note) for note in proven.notes),
        ]
    )


def _read(file: Path) -> str:
    try:
        with click.open_file(str(file), encoding="utf-8") as stream:
            text: str = stream.read(MAX_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ImportFailedError(f"cannot read {file}", "Is the path right?") from error
    if len(text) > MAX_FILE:
        raise ImportFailedError(f"{file} is too large for what it should be")
    return text.strip()


def _document(text: str) -> str:
    if not text.startswith("{"):
        return text
    try:
        found = json.loads(text).get("receipt")
    except ValueError:
        found = None
    return found if isinstance(found, str) else text


def _keys(text: str, file: Path) -> list[dict[str, Any]]:
    try:
        keys = json.loads(text)["keys"]
        return [key for key in keys if (key.get("kty"), key.get("crv")) == ("EC", "P-256")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImportFailedError(
            f"{file} is no key set", "Save it from the server's /.well-known/jwks.json"
        ) from error
