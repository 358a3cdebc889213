"""Wake-ups inside one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from placet_server.ports import Topic


class LocalBus:
    """The ``Bus`` of a server that is one process: calls and events on its one loop, nothing kept.

    A listener must not raise and must not block; it notes what it heard and returns.
    """

    def __init__(self) -> None:
        self._listeners: dict[Topic, list[Callable[[str], None]]] = {}
        self._watched: dict[tuple[Topic, str], list[asyncio.Event]] = {}

    def publish(self, topic: Topic, key: str) -> None:
        """Say that something changed; call it after the commit, on the loop."""
        for event in self._watched.get((topic, key), ()):
            event.set()
        for heard in tuple(self._listeners.get(topic, ())):
            heard(key)

    def listen(self, topic: Topic, heard: Callable[[str], None]) -> Callable[[], None]:
        """Call ``heard(key)`` for each change of a topic; returns what ends that."""
        listeners = self._listeners.setdefault(topic, [])
        listeners.append(heard)

        def end() -> None:
            if heard in listeners:
                listeners.remove(heard)

        return end

    @contextmanager
    def watch(self, topic: Topic, key: str) -> Iterator[asyncio.Event]:
        """An event that is set when this one thing changes; clear it, read the store, wait again."""
        event = asyncio.Event()
        events = self._watched.setdefault((topic, key), [])
        events.append(event)
        try:
            yield event
        finally:
            events.remove(event)
            if not events:
                del self._watched[topic, key]
