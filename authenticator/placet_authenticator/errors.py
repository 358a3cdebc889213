"""What can go wrong on the person's side; each error says what happened and names the next step."""

from __future__ import annotations

from typing import ClassVar, Final


class AuthenticatorError(Exception):
    """Root of the errors that a person can act on.

    ``detail`` says what happened, ``hint`` what to do next (may be empty); ``exit_code`` is what a command ends with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.detail: Final = detail
        self.hint: Final = hint


class VaultError(AuthenticatorError):
    """The vault is missing, damaged, unsafe on disk or was made by a newer version."""

    exit_code = 3


class PassphraseError(VaultError):
    """The passphrase is wrong, or there is no safe place to read one from."""


class UnreachableError(AuthenticatorError):
    """The server did not answer, or not in a way that can be understood."""

    exit_code = 4


class ServerRefusedError(AuthenticatorError):
    """The server answered with a documented no.

    ``code`` is the server's stable code, ``status`` the HTTP status, ``state`` the final state of a request that
    somebody or something else ended first.
    """

    exit_code = 5

    def __init__(
        self, code: str, detail: str, *, status: int, state: str | None = None, hint: str = ""
    ) -> None:
        super().__init__(detail, hint)
        self.code: Final = code
        self.status: Final = status
        self.state: Final = state


class UntrustedError(AuthenticatorError):
    """What the server sent is not what the pinned key, the enrolment or the request says: nothing was kept."""

    exit_code = 6


class NotFoundError(AuthenticatorError):
    """No request, token or device of that name here, or more than one."""


class ImportFailedError(AuthenticatorError):
    """The picture or URI holds nothing that can be used."""


class ExportFailedError(AuthenticatorError):
    """Something of the vault cannot be written in a form that others read."""
