"""Whether an automation's queue is far from full, so that nobody need count what waits in it.

Counting costs as much as there is to count. It is done seldom: when more could have come since
than there was room for. Only of the default bound; who sets one of his own wants it exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, NamedTuple

from reconciler.store.database import Database
from reconciler.store.executions.claim import WAITS
from reconciler.store.executions.insert import DEFAULT_MAX_QUEUED

# No PostgreSQL takes in more executions of one automation in a second: each batch locks the row
# of its window until it is on the disk.
GROWTH: Final = 20_000
_KNOWN: Final = 5.0  # seconds, at most, until it is counted again
_SOON: Final = 1.0  # seconds
_CROWDED: Final = 1.0  # the same, of a queue that is nearly full
_REMEMBERED: Final = 100_000  # automations

# Counted no further than the bound.
_CROWDS: Final = f"""
SELECT v.automation, (
    SELECT count(*) FROM (
        SELECT FROM workflow_executions AS e
        WHERE e."automationId" = v.automation AND {WAITS} LIMIT {DEFAULT_MAX_QUEUED}
    ) AS waiting
)
FROM unnest(%(ids)s::text[]) AS v(automation)
""".encode()


class _Room(NamedTuple):
    """What was found, and until when, by the loop's clock, it holds."""

    until: float
    enough: bool


class Rooms:
    """Remembers for a while which queues have room for all that can come."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rooms: dict[str, _Room] = {}
        self._used: set[str] = set()  # since the last count

    async def enough(self, automations: Collection[str]) -> set[str]:
        """Name those of *automations* whose queues have room, for now, whatever comes."""
        now = asyncio.get_running_loop().time()
        self._used.update(automations)
        if due := self._due(automations, now):
            due |= self._due(self._used, now + _SOON)  # what is in use goes with them
            self._used.clear()
            await self._count(due, now)
        found = ((id_, self._rooms.get(id_)) for id_ in automations)
        return {id_ for id_, room in found if room is not None and room.enough}

    def _due(self, automations: Collection[str], at: float) -> set[str]:
        rooms = ((id_, self._rooms.get(id_)) for id_ in automations)
        return {id_ for id_, room in rooms if room is None or room.until <= at}

    async def _count(self, automations: Collection[str], now: float) -> None:
        values = {"ids": sorted(automations)}
        found = await self._database.execute(_CROWDS, values, prepare=True)
        if len(self._rooms) > _REMEMBERED:
            self._rooms.clear()
        for id_, waiting in found:
            seconds = (DEFAULT_MAX_QUEUED - waiting) / GROWTH - 1.0
            holds = min(seconds, _KNOWN) if seconds > 0 else _CROWDED
            self._rooms[id_] = _Room(now + holds, seconds > 0)
