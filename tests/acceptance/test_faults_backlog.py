"""Fifty thousand rows wait for one automation: the others do not notice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest

from reconciler.runtime.hold import Hold
from reconciler.runtime.ports import Pace
from reconciler.trigger.execution import Ended, Status
from tests.acceptance.invariants import figures, record
from tests.worker_rig import Desk, Scripted, desk, eventually, working

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

Remark = Callable[[str, object], None]
BACKLOG = 50_000
OTHERS = 500
EACH = 2
SECONDS = 0.02  # a run


async def prepare(url: str, place: Desk) -> list[str]:
    """Make a backlog, and then ask for two runs of each of the others."""
    await place.automation("hot", max_concurrency=2)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")  # the planner believes that nothing waits
        connection.execute(
            """
            INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData",
                cause, "updatedAt")
            SELECT 'h' || n, 'hot', 'o1', 'QUEUED', '{}', 'webhook', now()
            FROM generate_series(1, %s) AS n
            """,
            (BACKLOG,),
        )
    others: list[str] = []
    for number in range(OTHERS):
        name = await place.automation(f"cold{number}", max_concurrency=2)
        others += await place.ask(EACH, name)
    return others


async def test_a_backlog_of_fifty_thousand_does_not_delay_the_others(
    database_url: str, record_property: Remark
) -> None:
    async with desk(database_url) as place:
        others = set(await prepare(database_url, place))
        record(database_url)
        started: list[float] = []
        running: Counter[str] = Counter()
        most_hot = 0

        async def run(hold: Hold) -> Ended:
            nonlocal most_hot
            claimed = hold.claimed
            running[claimed.automation_id] += 1
            most_hot = max(most_hot, running["hot"])
            if claimed.id in others:
                started.append(time.monotonic())
            await asyncio.sleep(SECONDS)
            running[claimed.automation_id] -= 1
            return Ended(id=claimed.id, attempt=claimed.attempt, status=Status.SUCCESS)

        begun = time.monotonic()
        async with working(place, Scripted(run), pace=Pace(concurrency=10)) as stopping:
            await eventually(lambda: len(started) == len(others), 60)
            stopping.set()
        seconds = max(started) - begun
        left = await place.value(
            "SELECT count(*) FROM workflow_executions WHERE \"automationId\" = 'hot' "
            "AND status = 'QUEUED'"
        )
        record_property(
            "backlog of 50,000",
            f"{len(started)} runs of {OTHERS} others began within {seconds:.1f} s (ideal "
            f"{len(others) * SECONDS / 10:.1f}), {BACKLOG - left} of the backlog beside them, "
            f"at most {most_hot} of it at once",
        )
    found = figures(database_url, [*others])
    assert found.violations == []
    assert found.miscounted == []
    assert (found.lost, found.doubled) == (0, 0)
    assert most_hot <= 2
    assert seconds < 20  # 2.9 s on a quiet machine; in order of arrival it would be minutes
