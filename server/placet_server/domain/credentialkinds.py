"""What a credential of each face consists of, and which secrets are taken: made here, or brought along by a customer."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final, NamedTuple

from placet_server.domain.refusals import RefusedError

UNGUESSABLE: Final = 16
"""Characters from which on a secret is taken for a machine's; shorter ones are guarded against guessing."""
_SECRET_MAX: Final = 128
_NAME_MAX: Final = 254


class Kind(NamedTuple):
    """A face's credential: what its account is called (None: the secret says it all), what its secret is called.

    ``chosen``: people chose it, so it is kept as a slow hash and never shown; otherwise it is sealed, because some faces
    sign with it. ``options`` are its settings beside the face's switches.
    """

    face: str
    name: str | None
    secret: str
    chosen: bool
    options: frozenset[str]


KINDS: Final[dict[str, Kind]] = {
    kind.face: kind
    for kind in (
        Kind(
            "authy",
            None,
            "API key",
            chosen=False,
            options=frozenset({"callback_url", "callback_method", "access_key", "signing_key"}),
        ),
        Kind("afilnet", "user", "password", chosen=True, options=frozenset({"templates"})),
        Kind(
            "unityvox",
            "account number",
            "API key",
            chosen=False,
            options=frozenset({"templates", "sender"}),
        ),
        Kind("octopush", "API login", "API key", chosen=False, options=frozenset({"no_voice"})),
    )
}
SECRET_OPTIONS: Final = frozenset({"access_key", "signing_key"})
"""Settings that are shown to nobody."""


def kind_of(face: str) -> Kind:
    """The kind of a face's credentials; raises ``invalid_request`` with the nearest face."""
    kind = KINDS.get(face)
    if kind is None:
        near = get_close_matches(face, KINDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(KINDS)}."
        raise RefusedError("invalid_request", f"There is no face {face[:32]!r}; {hint}")
    return kind


def account(kind: Kind, name: str) -> str:
    """The account's name in its one form, "" where the face has none; raises ``invalid_request``."""
    name = name.strip()
    if kind.name is None:
        if name:
            raise RefusedError("invalid_request", f"A credential of the {kind.face} face has no user name.")
        return ""
    if not 1 <= len(name) <= _NAME_MAX or not name.isprintable():
        raise RefusedError("invalid_request", f"The {kind.name} has 1 to {_NAME_MAX} printable characters.")
    return name


def presented(name: str) -> str:
    """A name as it is compared: without spaces around it, regard to case and half characters, which nothing can encode."""
    return name.strip().casefold().encode("utf-8", "replace").decode()


def checked(kind: Kind, secret: str) -> tuple[str, ...]:
    """What to warn of in a secret that a customer brings along; raises ``invalid_request`` when it cannot be one."""
    if not 1 <= len(secret) <= _SECRET_MAX:
        raise RefusedError("invalid_request", f"The {kind.secret} has 1 to {_SECRET_MAX} characters.")
    if not secret.isprintable() or secret != secret.strip():
        raise RefusedError(
            "invalid_request", f"The {kind.secret} has printable characters and no space at its ends."
        )
    if not kind.chosen and (not secret.isascii() or " " in secret):
        raise RefusedError("invalid_request", f"The {kind.secret} has ASCII characters without spaces.")
    if len(secret) < UNGUESSABLE and not kind.chosen:
        return (
            f"The {kind.secret} is short enough to be guessed: allow few addresses, and rotate it when you can.",
        )
    if len(secret) < 8:
        return (f"The {kind.secret} is short enough to be guessed: allow few addresses, or choose another.",)
    return ()
