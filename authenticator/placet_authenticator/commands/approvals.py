"""``list``, ``watch``, ``approve``, ``deny``: requests and their answers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Literal

import click

from placet_authenticator import printing
from placet_authenticator.errors import AuthenticatorError, NotFoundError, ServerRefusedError
from placet_authenticator.running import Run, now, opens_vault

if TYPE_CHECKING:
    from placet_authenticator.authenticator import Authenticator
    from placet_authenticator.deciding import Answer
    from placet_authenticator.inbox import Ended, Entry, Event, Inbox
    from placet_authenticator.link import Link


@click.command("list")
@opens_vault
def list_requests(run: Run) -> None:
    """Show what waits for your answer.

    Every server is asked once. What cannot be reached is said on stderr, and its last known requests are shown.
    """

    async def job(device: Authenticator) -> None:
        known = device.state.notices
        troubles = await device.fetch()
        _compare_clocks(device)
        waiting = device.state.pending
        news = [notice for notice in device.state.notices if notice not in known]
        if run.json:
            printing.as_json(
                {
                    "requests": [printing.entry_json(entry) for entry in waiting],
                    "notices": [
                        {"origin": each.origin, "kind": each.kind, "text": each.text} for each in news
                    ],
                    "unreachable": [trouble.detail for trouble in troubles],
                }
            )
        else:
            for entry in waiting:
                printing.entry(entry, now() + device.state.offset(entry.origin))
                printing.line()
            if not waiting:
                printing.line("Nothing waits for you.")
            for notice in news:
                printing.line(f"{notice.origin} says: {notice.text}")
            await device.seen(waiting)
        _warn(troubles)
        if troubles and not waiting:
            raise troubles[0]

    run.with_authenticator(job)


@click.command()
@opens_vault
@click.option("--count", type=click.IntRange(1), help="End after this many requests.")
def watch(run: Run, count: int | None) -> None:
    """Show requests as they come, until interrupted.

    What waits already is shown first. With --json each line is one object with "event".
    """
    with contextlib.suppress(KeyboardInterrupt):
        run.with_authenticator(lambda device: _Watch(run, device, count).until_done())


@click.command()
@opens_vault
@click.argument("request_id", metavar="ID")
@click.option(
    "--number", metavar="DIGITS", help="The number that the application shows you, if it asks for one."
)
def approve(run: Run, request_id: str, number: str | None) -> None:
    """Approve a request.

    ID may be cut to its first characters. You sign the digest that `placet list` shows: exactly this request.
    """
    from placet_authenticator import deciding  # loads the signed documents

    ended = _answer(run, request_id, deciding.approve(number))
    if ended.outcome != "approved":
        raise ServerRefusedError(
            ended.reason,
            "the server did not take this as approved",
            status=200,
            hint="Ask the application to start again",
        )


@click.command()
@opens_vault
@click.argument("request_id", metavar="ID")
@click.option(
    "--reason",
    type=click.Choice(["not_me", "mistake"]),
    help="not_me: you did not start this; the application is told, and further requests are held for a while.",
)
def deny(run: Run, request_id: str, reason: Literal["not_me", "mistake"] | None) -> None:
    """Deny a request. It needs no number."""
    from placet_authenticator import deciding  # loads the signed documents

    _answer(run, request_id, deciding.deny(reason or "declined"))


def _answer(run: Run, request_id: str, answer: Answer) -> Ended:
    async def job(device: Authenticator) -> Ended:
        known = device.state.notices
        troubles = await device.fetch()
        _compare_clocks(device)
        for notice in device.state.notices:
            if notice not in known:
                printing.note(f"{notice.origin} says: {notice.text}")
        try:
            entry = device.find(request_id)
        except NotFoundError:
            _warn(troubles)
            raise
        return await device.decide(entry, answer, verified=run.verified())

    ended = run.with_authenticator(job)
    if run.json:
        printing.as_json(printing.ended_json(ended))
    else:
        reason = f" ({ended.reason})" if ended.reason not in {"", "ok", "declined"} else ""
        printing.line(f"{ended.outcome}{reason}: {ended.entry.message}".replace("\n", " "), bold=True)
    return ended


def _warn(troubles: list[AuthenticatorError]) -> None:
    for trouble in troubles:
        printing.note(f"warning: {trouble.detail}")


def _compare_clocks(device: Authenticator) -> None:
    wrong = device.state.wrong_clock(each.origin for each in device.enrollments)
    if wrong is not None:
        way = "behind" if wrong.clock_offset > 0 else "ahead of"
        off = printing.duration(abs(wrong.clock_offset))
        printing.note(
            f"warning: your clock is {off} {way} that of {wrong.origin}: codes may be refused. Set the clock."
        )


class _Watch:
    """Prints each change once, for all servers together."""

    def __init__(self, run: Run, device: Authenticator, count: int | None) -> None:
        self._run = run
        self._device = device
        self._left = count
        self._done = asyncio.Event()
        self._shown: set[tuple[str, str]] = set()

    async def until_done(self) -> None:
        for entry in reversed(self._device.state.pending):
            self._show(entry)
        links = self._device.links()
        if not links:
            raise NotFoundError("this vault is on no server yet", "Start with: placet enroll URI")
        following = asyncio.gather(*(self._follow(link) for link in links))
        ends: list[asyncio.Future[Any]] = [
            following,
            asyncio.ensure_future(self._done.wait()),
            asyncio.ensure_future(self._tick()),
        ]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                end.result()
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        if following in done:
            raise NotFoundError("no server knows this device any more", "See: placet devices")

    async def _follow(self, link: Link) -> None:
        async with link:
            async for event in link:
                await self._take(event, link)

    async def _tick(self) -> None:
        from placet_authenticator.inbox import Passed

        while True:
            await asyncio.sleep(1)
            await self._take(Passed(), None)

    async def _take(self, event: Event, link: Link | None) -> None:
        before = self._device.state
        self._device.absorb(event)
        after = self._device.state
        arrived = [entry for entry in after.pending if entry.key not in self._shown]
        for entry in reversed(arrived):
            self._show(entry)
        known = {ended.entry.key for ended in before.history}
        for ended in after.history:
            if ended.entry.key in self._shown - known:
                text = f"{ended.entry.rid}  {ended.outcome} by {ended.by}"
                self._say({"event": "ended", **printing.ended_json(ended)}, text)
        for notice in after.notices:
            if notice not in before.notices:
                told = {"origin": notice.origin, "kind": notice.kind, "text": notice.text}
                self._say({"event": "notice", **told}, f"{notice.origin} says: {notice.text}")
        self._say_connections(before, after)
        if link is not None and arrived and not self._run.json:
            with contextlib.suppress(AuthenticatorError):
                await link.seen([(entry.device, entry.rid) for entry in arrived])

    def _say_connections(self, before: Inbox, after: Inbox) -> None:
        for origin, now_is in after.connections.items():
            was = before.connections.get(origin)
            if was is None or was.state != now_is.state:
                told = {"origin": origin, "state": now_is.state, "trouble": now_is.trouble}
                if self._run.json:
                    printing.as_json({"event": "connection", **told})
                else:
                    printing.note(f"{origin}: {now_is.state} {now_is.trouble}".rstrip())

    def _show(self, entry: Entry) -> None:
        self._shown.add(entry.key)
        if self._run.json:
            printing.as_json({"event": "request", **printing.entry_json(entry)})
        else:
            printing.entry(entry, now() + self._device.state.offset(entry.origin))
            printing.line()
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self._done.set()

    def _say(self, value: dict[str, Any], text: str) -> None:
        if self._run.json:
            printing.as_json(value)
        else:
            printing.line(text)
