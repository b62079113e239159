"""How PostgreSQL carries out a tick: never by reading all schedules or all executions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from reconciler.runtime.scheduler import BATCH
from reconciler.store import scheduled, schedules, starts
from reconciler.store.executions import insert
from reconciler.trigger.execution import Cause, NewExecution
from tests.execution_plans import LARGE, Shape, carry_out, fill

SCHEDULES = 60_000
DUE = BATCH
NOW = "(now() AT TIME ZONE 'UTC')"

_FILL = f"""
INSERT INTO workflow_triggers (id, "automationId", "orgId", "triggerType", "triggerEvent",
    "cronSchedule", timezone, overlap, "scheduleDigest", "nextFireAt", "updatedAt")
SELECT 's' || n, 'a' || n % 1000, 'o1', 'SCHEDULE', 'schedule', '0 9 * * *', 'UTC', 'skip',
    'UTC' || chr(10) || '0 9 * * *', {NOW} + (n - {DUE}) * interval '1 second', now()
FROM generate_series(1, {SCHEDULES}) AS n;
UPDATE workflow_executions SET "triggerId" = 's' || substr(id, 2), "scheduledFor" = {NOW}
WHERE status IN ('QUEUED', 'RUNNING');
"""


def statements() -> Iterator[tuple[str, bytes, Mapping[str, Any]]]:
    """Give each statement of a tick."""
    ids = [f"s{number}" for number in range(1, DUE + 1)]
    now = datetime.now(UTC)
    yield "look", schedules._WORK, {}
    yield "take in", schedules._NEW, {"limit": DUE}
    taken = {"ids": ids, "next": [now] * DUE, "problems": [None] * DUE}
    yield "note", schedules._TAKE_IN, taken
    yield "resume", schedules._RESUME, {}
    yield "release", schedules._RELEASE, {}
    yield "due", schedules._DUE, {"limit": DUE}
    yield "claim", scheduled._CLAIM, {"limit": DUE}
    yield "claim one", scheduled._CLAIM_ONE, {"limit": 1, "only": "s7"}
    yield "live", scheduled._LIVE, {"ids": ids}
    yield "cancel", scheduled._CANCEL, {"ids": ids, "before": [now] * DUE}
    yield "advance", scheduled._ADVANCE, {**taken, "fires": [1] * DUE}
    new = [
        (
            f"n{number}",
            NewExecution(
                automation_id=f"a{number % 1000}",
                cause=Cause.SCHEDULE,
                trigger_data={},
                trigger_id=f"s{number}",
                scheduled_for=now,
                idempotency_key=f"cron:s{number}",
            ),
            "{}",
        )
        for number in range(1, DUE + 1)
    ]
    yield "insert", insert._INSERT, insert._values(new, count=False)
    runs = [one for _, one, _ in new]
    yield "start", starts._ORDINARY, starts._values(ids, runs, ["{}"] * DUE)


@pytest.mark.parametrize("stale", [False, True], ids=["fresh", "stale"])
def test_no_statement_of_a_tick_reads_a_whole_table(upgraded_url: str, stale: bool) -> None:
    with psycopg.connect(upgraded_url, autocommit=True) as connection:
        fill(connection, Shape(ended=30_000), stale=stale)
        connection.execute(_FILL.encode())
        if not stale:
            connection.execute("ANALYZE")
        carried = [
            one
            for name, statement, values in statements()
            for one in carry_out(connection, name, statement, values, (*LARGE, "workflow_triggers"))
        ]

    assert [one for one in carried if one.scans] == []
    assert [one for one in carried if one.read > 4000] == []
