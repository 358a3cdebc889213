"""What there is only while the vault is open: the device, its network session, and a line to each server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from textual.app import App
from textual.worker import Worker, WorkerError

from placet_authenticator.errors import AuthenticatorError
from placet_authenticator.inbox import Entry, Event, Lost

if TYPE_CHECKING:
    from placet_authenticator.authenticator import Authenticator
    from placet_authenticator.link import Link
    from placet_authenticator.vault import Vault

SETTLE_SECONDS: Final = 15
"""Pause between two looks for answers of which it is not known what became of them; a look that finds none is free."""

LinksOf = Callable[["Authenticator"], "Sequence[Link]"]


class Opened:
    """An open vault in a running app, each line in a worker; to be closed once.

    ``clock`` gives ms UTC, ``links_of`` the lines to follow; ``kept`` takes what came and says whether it was kept.
    """

    def __init__(
        self,
        app: App[Any],
        vault: Vault,
        *,
        clock: Callable[[], int],
        links_of: LinksOf,
        kept: Callable[[Event], Awaitable[bool]],
    ) -> None:
        from placet_authenticator.authenticator import Authenticator  # loads the HTTP client
        from placet_authenticator.calls import open_session

        self._session = open_session()
        self.device = Authenticator(vault, self._session, clock=clock)
        self._app = app
        self._links_of = links_of
        self._kept = kept
        self._links: Sequence[Link] = ()
        self._workers: list[Worker[None]] = []
        self._followed: frozenset[str] = frozenset()

    @property
    def all_followed(self) -> bool:
        """Whether there is a line for every enrolment, and none too many."""
        return self._followed == frozenset(each.id for each in self.device.enrollments)

    def follow(self) -> None:
        """Connect to all servers anew, at once."""
        self._app.workers.cancel_group(self._app, "links")
        self._links = self._links_of(self.device)
        self._followed = frozenset(each.id for each in self.device.enrollments)
        self._workers = [
            self._app.run_worker(self._follow(link), group="links", description=link.origin)
            for link in self._links
        ]
        self._workers.append(self._app.run_worker(self._settle(), group="links"))

    async def seen(self, entry: Entry) -> None:
        """Tell the server that a person was shown this request, if it can be told."""
        for link in self._links:
            with contextlib.suppress(AuthenticatorError):  # said again when the request is looked at again
                await link.seen([(entry.device, entry.rid)])

    async def close(self) -> None:
        """End the lines, then let go of network and vault."""
        self._app.workers.cancel_all()
        for worker in self._workers:
            with contextlib.suppress(WorkerError):
                await worker.wait()
        await self._session.close()
        self.device.vault.close()

    async def _settle(self) -> None:
        while True:
            with contextlib.suppress(
                AuthenticatorError
            ):  # a vault that cannot be written says so where it matters
                await self.device.settle()
            await asyncio.sleep(SETTLE_SECONDS)

    async def _follow(self, link: Link) -> None:
        async with link:
            async for event in link:
                if not await self._kept(event):
                    # Nothing is acknowledged, so nothing is lost: the next try brings it again.
                    await self._kept(Lost(link.origin, "the vault cannot be written"))
                    return
