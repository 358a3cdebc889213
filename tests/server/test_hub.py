from __future__ import annotations

from placet_server.delivery.bus import LocalBus
from placet_server.delivery.hub import LocalHub


class Socket:
    def __init__(self) -> None:
        self.woken = 0
        self.ended: list[str] = []

    def wake(self) -> None:
        """Count."""
        self.woken += 1

    def end(self, code: str) -> None:
        """Remember why."""
        self.ended.append(code)


class Poll(Socket):
    pass


def test_a_link_is_woken_for_its_device_and_its_user_only() -> None:
    """Changes of other people wake nobody; after leaving there are no wake-ups."""
    bus = LocalBus()
    hub, link = LocalHub(bus), Socket()
    leave = hub.join(link, "d1", "u1", at_most=3)
    bus.publish("user", "u2")
    bus.publish("device", "d2")
    bus.publish("approval", "u1")
    assert link.woken == 0
    bus.publish("user", "u1")
    bus.publish("device", "d1")
    assert link.woken == 2
    assert hub.connected("d1")
    leave()
    leave()
    bus.publish("user", "u1")
    assert (link.woken, hub.connected("d1"), hub.count()) == (2, False, 0)


def test_the_newest_links_of_a_class_stay() -> None:
    """Sockets and polls are counted apart; the oldest gives way."""
    hub = LocalHub(LocalBus())
    sockets, polls = [Socket() for _ in range(5)], [Poll() for _ in range(2)]
    for link in sockets:
        hub.join(link, "d1", "u1", at_most=3)
    for poll in polls:
        hub.join(poll, "d1", "u1", at_most=1)
    assert [link.ended for link in sockets] == [["replaced"], ["replaced"], [], [], []]
    assert [poll.ended for poll in polls] == [["replaced"], []]


def test_closing_ends_every_link_once() -> None:
    """A link of two devices is told once; afterwards the bus wakes nobody."""
    bus = LocalBus()
    hub, link = LocalHub(bus), Socket()
    hub.join(link, "d1", "u1", at_most=3)
    hub.join(link, "d2", "u2", at_most=3)
    assert hub.count() == 2
    hub.close()
    hub.close()
    bus.publish("user", "u1")
    assert (link.ended, link.woken, hub.count()) == (["closing"], 0, 0)
