"""Figures about the queue for whoever watches: how many wait, how long, which breakers are open.

Not here: metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.store.database import Database

MOST: Final = 100_000  # rows counted of each kind: a figure must not cost more than a claim

_QUEUED: Final = f"""
SELECT coalesce(cause, 'unknown'), count(*) FROM (
    SELECT cause FROM workflow_executions WHERE status = 'QUEUED' LIMIT {MOST}) AS waiting
GROUP BY 1
"""
_LAG: Final = """
SELECT greatest(0, extract(epoch FROM
    (clock_timestamp() AT TIME ZONE 'UTC') - min("runAt")))::double precision
FROM workflow_executions WHERE status = 'QUEUED'
"""
_BREAKERS: Final = """
SELECT breaker, count(*) FROM reconciler.automation_runtime GROUP BY breaker
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFigures:
    """The queue at one moment; counts of waiting executions end at 100,000."""

    queued: Mapping[str, int]  # cause -> executions that wait
    lag: float  # seconds that the one due longest waits
    breakers: Mapping[str, int]  # state -> automations


class Figures:
    """Reads the figures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> QueueFigures:
        """Count; raises DatabaseUnreachable."""
        async with self._database.transaction() as connection:
            queued = await (await connection.execute(_QUEUED)).fetchall()
            lag = await (await connection.execute(_LAG)).fetchone()
            breakers = await (await connection.execute(_BREAKERS)).fetchall()
        return QueueFigures(
            queued={str(cause): int(count) for cause, count in queued},
            lag=float(lag[0]) if lag and lag[0] is not None else 0.0,
            breakers={str(state): int(count) for state, count in breakers},
        )
