"""A store in which somebody else is always faster: races that are lost for certain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from placet_server.ports import Plan, Row, Sql, Store, Value


class OutrunStore:
    """Passes everything on to a real store; before each write of one kind somebody else's comes. It is a ``Store``.

    ``guard`` names the first statement of the plans that are too late, ``rival`` writes what is faster, ``times`` is
    how often, None for always. ``lost`` counts.
    """

    def __init__(
        self, store: Store, guard: str, rival: Callable[[], Awaitable[object]], times: int | None = None
    ) -> None:
        self._store = store
        self._guard = guard
        self._rival = rival
        self._times = times
        self.lost = 0

    async def write(self, plan: Plan) -> int:
        """Run a plan, too late when it is of this kind."""
        late = plan.steps[0].sql.name == self._guard and (self._times is None or self.lost < self._times)
        if late:
            self.lost += 1
            await self._rival()
        failed = await self._store.write(plan)
        assert not late or failed == 1, "the rival changed nothing that this plan looks at"
        return failed

    async def lull(self) -> None:
        """Wait until little is to be done."""
        await self._store.lull()

    async def row(self, sql: Sql, params: tuple[Value, ...] = ()) -> Row | None:
        """The first row of a query."""
        return await self._store.row(sql, params)

    async def rows(self, sql: Sql, params: tuple[Value, ...] = ()) -> list[Row]:
        """All rows of a query."""
        return await self._store.rows(sql, params)

    async def close(self) -> None:
        """Close the real store."""
        await self._store.close()
