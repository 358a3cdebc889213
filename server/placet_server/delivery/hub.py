"""The devices that are connected to this process."""

from __future__ import annotations

from collections.abc import Callable

from placet_server.ports import Bus, Link


class LocalHub:
    """The ``Hub`` of one process: finds the links of a device or a user when the bus says that they changed.

    It holds no message and no truth: a link that is woken reads the store.
    """

    def __init__(self, bus: Bus) -> None:
        self._by_device: dict[str, list[Link]] = {}
        self._by_user: dict[str, list[Link]] = {}
        self._ends = [
            bus.listen("user", lambda user: _wake(self._by_user, user)),
            bus.listen("device", lambda device: _wake(self._by_device, device)),
        ]

    def join(self, link: Link, device: str, user: str, *, at_most: int) -> Callable[[], None]:
        """Wake ``link`` for changes of this device and its user; returns what ends that.

        Of the device's links of the same class, only the newest ``at_most`` stay; the others are ended.
        """
        same = [other for other in self._by_device.get(device, ()) if type(other) is type(link)]
        self._by_device.setdefault(device, []).append(link)
        self._by_user.setdefault(user, []).append(link)
        for other in same[: max(0, len(same) + 1 - at_most)]:
            _remove(self._by_device, device, other)
            _remove(self._by_user, user, other)
            other.end("replaced")

        def leave() -> None:
            _remove(self._by_device, device, link)
            _remove(self._by_user, user, link)

        return leave

    def connected(self, device: str) -> bool:
        """Whether a device has a link in this process."""
        return device in self._by_device

    def count(self) -> int:
        """How many devices have a link."""
        return len(self._by_device)

    def close(self) -> None:
        """End all links: the server ends."""
        while self._ends:
            self._ends.pop()()
        for link in {id(link): link for links in self._by_device.values() for link in links}.values():
            link.end("closing")
        self._by_device.clear()
        self._by_user.clear()


def _wake(links: dict[str, list[Link]], key: str) -> None:
    for link in tuple(links.get(key, ())):
        link.wake()


def _remove(links: dict[str, list[Link]], key: str, link: Link) -> None:
    members = links.get(key, [])
    if link in members:
        members.remove(link)
        if not members:
            del links[key]
