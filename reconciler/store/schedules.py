"""The scheduler's statements: take schedules in, start what is due, once each, on any daemon.

Nobody leads. A due row is locked, what it starts and its next time are written, all in one
transaction; other daemons skip locked rows. The key of an occurrence (`cron:<trigger>:<nominal>`)
keeps it single even when a backup is restored or a person turns `nextFireAt` back. Every clock is
the database's. Not here: what to start (`reconciler.trigger.occurrence`), nor when to look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.store import scheduled
from reconciler.store.database import Connection, Database
from reconciler.store.predicates import IS_SCHEDULE, TAKEN_IN, UNSCHEDULED
from reconciler.store.scheduled import NOW, Row
from reconciler.store.starts import start
from reconciler.trigger.next_fire import next_fire, schedule_problem

# Means what the first half says; the second makes due_idx, ordered by time, answer it, where the
# planner may take another index and sort all that wait.
_QUEUED = "w.status = 'QUEUED' AND w.attempt >= 0"

# Nothing is subtracted from infinity: whoever turns a schedule back as far as can be means now.
_FINITE = f"LEAST(GREATEST(\"nextFireAt\", TIMESTAMP '1970-01-01'), {scheduled.HELD})"

# Ordered by what only the index of unscheduled rows is ordered by: the planner, which takes half of
# all rows for unscheduled, would rather read the table.
_WORK = f"""
SELECT
    (SELECT id FROM workflow_triggers WHERE {UNSCHEDULED} ORDER BY "cronSchedule" LIMIT 1) IS NOT NULL,
    EXISTS (
        SELECT FROM reconciler.automation_runtime AS r
        JOIN automations AS a ON a.id = r.automation_id AND a."isActive" WHERE r.paused),
    COALESCE((
        SELECT w."runAt" FROM workflow_executions AS w WHERE {_QUEUED}
        ORDER BY w."runAt" DESC LIMIT 1) >= {scheduled.HELD}, false),
    (
        SELECT extract(epoch FROM {_FINITE} - {NOW})::float8
        FROM workflow_triggers WHERE "isActive" AND "nextFireAt" IS NOT NULL
        ORDER BY "nextFireAt" LIMIT 1)
""".encode()

_RESUME = f"""
WITH back AS (
    UPDATE reconciler.automation_runtime AS r SET paused = false
    FROM automations AS a WHERE r.paused AND a.id = r.automation_id AND a."isActive"
    RETURNING r.automation_id
)
UPDATE workflow_triggers AS t SET "scheduleDigest" = NULL, "nextFireAt" = NULL
FROM back WHERE t."automationId" = back.automation_id AND {IS_SCHEDULE}
""".encode()

_RELEASE = f"""
UPDATE workflow_executions AS w SET "runAt" = {NOW}, "updatedAt" = {NOW},
    "queueDeadline" = {NOW} + (w."queueDeadline" - w."runAt")
WHERE {_QUEUED} AND w."runAt" >= {scheduled.HELD} AND NOT EXISTS (
    SELECT FROM workflow_executions AS e
    WHERE e."triggerId" = w."triggerId" AND e.status IN ('QUEUED', 'RUNNING')
        AND e."scheduledFor" IS NOT NULL AND e."scheduledFor" < w."scheduledFor")
RETURNING w.id
""".encode()

_NEW = f"""
SELECT id, "isActive", "cronSchedule", COALESCE(timezone, 'UTC'), {NOW}
FROM workflow_triggers WHERE {UNSCHEDULED}
ORDER BY "cronSchedule" LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
""".encode()

_TAKE_IN = f"""
UPDATE workflow_triggers AS t
SET "nextFireAt" = v.next AT TIME ZONE 'UTC', "scheduleError" = v.problem,
    "scheduleDigest" = {TAKEN_IN}
FROM unnest(
    (SELECT %(ids)s::text[]), (SELECT %(next)s::timestamptz[]), (SELECT %(problems)s::text[])
) AS v(key, next, problem)
WHERE t.id = v.key
""".encode()

_FORGET_PROBLEMS = b"""
UPDATE workflow_triggers SET "scheduleDigest" = NULL
WHERE "triggerType" = 'SCHEDULE' AND "scheduleError" IS NOT NULL
"""

_DUE = f"""
SELECT id FROM workflow_triggers
WHERE "isActive" AND "nextFireAt" IS NOT NULL AND "nextFireAt" <= {NOW}
ORDER BY "nextFireAt" LIMIT %(limit)s
""".encode()

_BREAK = b"""
UPDATE workflow_triggers SET "nextFireAt" = NULL, "scheduleError" = %(problem)s WHERE id = %(id)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What there is to do."""

    unscheduled: bool  # schedules are new, changed, switched on or off
    resumed: bool  # automations are active again
    held: bool  # runs wait for the end of earlier ones
    seconds: float | None  # until the next schedule is due; None: there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """How many schedules were taken in, and which of them are *broken*: (trigger, reason)."""

    count: int
    broken: tuple[tuple[str, str], ...] = ()


def _nothing() -> None:
    pass


class Schedules:
    """The schedules in `workflow_triggers`; *new_id* makes the ids of executions."""

    def __init__(self, database: Database, *, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def work(self) -> Work:
        """See what there is to do; cheap when there is nothing."""
        [row] = await self._database.execute(_WORK, {}, prepare=True)
        return Work(unscheduled=row[0], resumed=row[1], held=row[2], seconds=row[3])

    async def resume(self) -> None:
        """Let the schedules of automations that are active again begin anew, from now on."""
        await self._database.execute(_RESUME, {})

    async def release(self) -> int:
        """Let held runs start whose predecessors have ended; returns how many."""
        return len(await self._database.execute(_RELEASE, {}, prepare=True))

    async def forget_problems(self) -> None:
        """Look at broken schedules once more: this version may know a zone that another did not."""
        await self._database.execute(_FORGET_PROBLEMS, {})

    async def take_in(self, limit: int) -> TakenIn:
        """Note the next fire of up to *limit* new or changed schedules, from now on.

        A broken one is noted with its reason and looked at again when its row changes.
        """
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_NEW, {"limit": limit})
            rows = await cursor.fetchall()
            if not rows:
                return TakenIn(count=0)
            seen = [(row[0], *_first(*row[1:])) for row in rows]
            values = {
                "ids": [id_ for id_, _, _ in seen],
                "next": [fire for _, fire, _ in seen],
                "problems": [problem for _, _, problem in seen],
            }
            await connection.execute(_TAKE_IN, values)
        broken = tuple((id_, problem) for id_, _, problem in seen if problem is not None)
        return TakenIn(count=len(rows), broken=broken)

    async def fire(
        self, limit: int, only: str | None = None, *, more: Callable[[], None] = _nothing
    ) -> scheduled.Fired:
        """Start what is due, of up to *limit* schedules or of one, in one transaction.

        Calls *more* as soon as it is known that others may be due, too. Raises what
        `Database.transaction` raises; then nothing was started.
        """
        async with self._database.transaction(pipelined=True) as connection:
            rows = await scheduled.claim(connection, limit, only)
            if len(rows) == limit:
                more()
            return await self._start(connection, rows) if rows else scheduled.Fired()

    async def due(self, limit: int) -> list[str]:
        """List schedules that are due, without a lock."""
        return [row[0] for row in await self._database.execute(_DUE, {"limit": limit})]

    async def set_aside(self, trigger: str, problem: str) -> None:
        """Stop a schedule that PostgreSQL refuses to start, until its row changes."""
        values: dict[str, Any] = {"id": trigger, "problem": problem}
        await self._database.execute(_BREAK, values)

    async def _start(self, connection: Connection, rows: Sequence[Row]) -> scheduled.Fired:
        live = await scheduled.live(connection, rows)
        plan = scheduled.Plan.of(rows, live)
        await scheduled.cancel_earlier(connection, plan.cancel)
        accepted = await start(connection, plan.new, self._new_id)
        await scheduled.record(connection, plan.skips(accepted), self._new_id)
        await scheduled.advance(connection, plan, accepted)
        return plan.fired(accepted)


def _first(
    active: bool, expression: str | None, zone: str, now: datetime
) -> tuple[datetime | None, str | None]:
    """Find the first fire of a schedule that is taken in *now*, or say what is wrong with it."""
    if not active:
        return None, None
    problem = schedule_problem(expression, zone)
    if problem is not None or expression is None:
        return None, problem
    try:
        return next_fire(expression, zone, now), None
    except ValueError as error:
        return None, str(error)
