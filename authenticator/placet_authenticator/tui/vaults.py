"""Opens vaults beside the first paint: what that loads is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from placet_authenticator.settings import Settings, checked_new

if TYPE_CHECKING:
    from placet_authenticator.vault import Vault


def opened(settings: Settings, passphrase: str) -> Vault:
    """The vault that there is; takes as long as its passphrase is dear. Errors as ``Vault.open``."""
    from placet_authenticator.vault import Vault  # loads SQLite and the ciphers

    return Vault.open(settings.vault, passphrase)


def made(settings: Settings, passphrase: str) -> Vault:
    """A new vault. Errors as ``Vault.create``, and ``PassphraseError`` for a passphrase that is too short."""
    from placet_authenticator.vault import Vault  # as above

    return Vault.create(settings.vault, checked_new(passphrase))
