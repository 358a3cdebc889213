"""One data folder: made once, used by one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from placet_server.crypto.keyring import Keyring, open_keyring
from placet_server.crypto.masterkey import MasterKeyError, create_master_key, load_master_key
from placet_server.domain.organizations import Organizations
from placet_server.ports import Clock, Entropy, Sql, plan, step
from placet_server.settings import Settings, SettingsError
from placet_server.storage import SqliteStore, open_store

_PUBLIC_URL = Sql("fact_public_url", "SELECT value FROM facts WHERE name = 'public_url'")
_FIX_URL = Sql(
    "fact_public_url_fix", "INSERT INTO facts (name, value) VALUES ('public_url', ?) ON CONFLICT DO NOTHING"
)


class Installation(NamedTuple):
    """An opened data folder: its store, its keys, and the URL under which it is known for ever."""

    store: SqliteStore
    keyring: Keyring
    public_url: str

    @property
    def log_origin(self) -> str:
        """The name of the audit log in its checkpoints: the public URL without its scheme."""
        return urlsplit(self.public_url).netloc


async def open_existing(settings: Settings, clock: Clock, entropy: Entropy) -> Installation:
    """Open a data folder that was made before; raises ``SettingsError`` and ``StoreUnavailableError``."""
    if not settings.database.exists():
        raise SettingsError(
            f"There is no installation in {settings.data}: make one by `placet-server init --data {settings.data}`."
        )
    return await _open(settings, clock, entropy, None)


async def open_or_make(
    settings: Settings, clock: Clock, entropy: Entropy, own_url: Callable[[], str]
) -> Installation:
    """Open a data folder, or make it where there is none; ``own_url`` is asked when no public URL is set.

    What a broken-off start left half made is completed. Raises ``SettingsError`` and ``StoreUnavailableError``.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.database.exists() and not settings.master_key.exists():
        try:
            create_master_key(settings.master_key, entropy)
        except MasterKeyError as error:
            raise SettingsError(str(error)) from error
    return await _open(settings, clock, entropy, own_url)


async def make(
    settings: Settings, clock: Clock, entropy: Entropy, own_url: Callable[[], str]
) -> Installation:
    """As ``open_or_make``, but refuses a data folder that is complete already."""
    if settings.database.exists():
        try:
            installation = await open_existing(settings, clock, entropy)
        except _UnfinishedError:
            pass
        else:
            await installation.store.close()
            raise SettingsError(f"{settings.data} is an installation already, for {installation.public_url}.")
    return await open_or_make(settings, clock, entropy, own_url)


class _UnfinishedError(SettingsError):
    """The data folder has no public URL: its making was broken off."""


async def _open(
    settings: Settings, clock: Clock, entropy: Entropy, own_url: Callable[[], str] | None
) -> Installation:
    try:
        master_key = load_master_key(settings.master_key)
    except MasterKeyError as error:
        raise SettingsError(str(error)) from error
    store = await open_store(settings.database)
    try:
        public_url = await _public_url(store, settings, own_url)
        keyring = await open_keyring(store, master_key, entropy, clock.now())
        if own_url is not None:
            await Organizations(store).ensure_default(clock.now())
            await store.write(plan(step(_FIX_URL, public_url.encode())))
    except MasterKeyError as error:
        await store.close()
        raise SettingsError(str(error)) from error
    except BaseException:
        await store.close()
        raise
    return Installation(store, keyring, public_url)


async def _public_url(store: SqliteStore, settings: Settings, own_url: Callable[[], str] | None) -> str:
    row = await store.row(_PUBLIC_URL)
    if row is not None:
        fixed = bytes(row[0]).decode()
        if settings.public_url not in {None, fixed}:
            raise SettingsError(
                f"This installation is {fixed} for ever, because devices pinned it: drop public_url"
                f" {settings.public_url}, or make another data folder for it."
            )
        return fixed
    if own_url is None:
        raise _UnfinishedError(
            f"{settings.data} was never finished: run `placet-server init --data {settings.data}`."
        )
    return settings.public_url or own_url()
