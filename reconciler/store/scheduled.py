"""What one tick of the scheduler reads and writes about schedules that are due, in one transaction.

Not here: the transaction (`reconciler.store.schedules`), nor the decisions: which occurrences run
(`reconciler.trigger.occurrence`) and what earlier runs mean for them (`reconciler.trigger.overlap`).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reconciler.store.database import Connection
from reconciler.store.predicates import LIVE_SCHEDULED, UNSCHEDULED
from reconciler.trigger.execution import Accepted, Cause, NewExecution, Refusal
from reconciler.trigger.next_fire import next_fire
from reconciler.trigger.occurrence import GRACE, Due, Schedule, item, key, look, start_at
from reconciler.trigger.overlap import Live, Start, decide

# The database's clock, cut to what a column holds: rounding up would make it the future.
NOW: Final = "date_trunc('milliseconds', statement_timestamp() AT TIME ZONE 'UTC')"
# A run that waits for the end of an earlier one is queued for the far future; `release` lets it go.
HELD: Final = "TIMESTAMP '9000-01-01'"
HELD_UNTIL: Final = datetime(9000, 1, 1, tzinfo=UTC)

_CLAIM = f"""
SELECT id, "automationId", "cronSchedule", COALESCE(timezone, 'UTC'),
    COALESCE(misfire, 'fire_once'), "misfireGrace", COALESCE(overlap, 'skip'),
    COALESCE(jitter, 0), "nextFireAt", {NOW},
    (SELECT a."isActive" FROM automations AS a WHERE a.id = "automationId")
FROM workflow_triggers
WHERE "isActive" AND "nextFireAt" IS NOT NULL AND "nextFireAt" <= {NOW}
    AND NOT ({UNSCHEDULED}) /* only */
ORDER BY "nextFireAt" LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
""".encode()
# A statement of its own: one plan for both would look for the one among all that are due.
_CLAIM_ONE = _CLAIM.replace(b"/* only */", b"AND id = %(only)s")

_LIVE = f"""
SELECT "triggerId", count(*) FILTER (WHERE status = 'QUEUED'),
    count(*) FILTER (WHERE status = 'RUNNING')
FROM workflow_executions
WHERE "triggerId" = ANY(%(ids)s) AND {LIVE_SCHEDULED}
GROUP BY 1
""".encode()

_CANCEL = f"""
WITH found AS MATERIALIZED (
    SELECT e.id, e.status
    FROM unnest(%(ids)s::text[], %(before)s::timestamptz[]) AS v(id, before)
    JOIN (SELECT * FROM workflow_executions WHERE {LIVE_SCHEDULED}) AS e
        ON e."triggerId" = v.id AND e."scheduledFor" < v.before AT TIME ZONE 'UTC'
    ORDER BY e.id FOR NO KEY UPDATE OF e
), ended AS (
    UPDATE workflow_executions AS e SET status = 'CANCELLED', "completedAt" = {NOW},
        "cancelRequestedAt" = {NOW}, "updatedAt" = {NOW},
        "errorMessage" = 'cancelled: the next run of its schedule was due'
    FROM found AS f WHERE e.id = f.id AND f.status = 'QUEUED'
)
UPDATE workflow_executions AS e
SET "cancelRequestedAt" = COALESCE(e."cancelRequestedAt", {NOW}), "updatedAt" = {NOW}
FROM found AS f WHERE e.id = f.id AND f.status = 'RUNNING'
""".encode()

_RECORD = f"""
INSERT INTO workflow_executions (
    id, "automationId", "orgId", status, "startedAt", "completedAt", "triggerData", "triggerId",
    "scheduledFor", "idempotencyKey", revision, cause, "errorMessage", "createdAt", "updatedAt")
SELECT v.id, a.id, a."orgId", 'CANCELLED', {NOW}, {NOW}, '{{}}', v.trigger,
    v.scheduled AT TIME ZONE 'UTC', v.key, s.revision, '{Cause.SCHEDULE.value}', v.reason,
    {NOW}, {NOW}
FROM unnest(
    %(ids)s::text[], %(automations)s::text[], %(triggers)s::text[], %(scheduled)s::timestamptz[],
    %(keys)s::text[], %(reasons)s::text[]) AS v(id, automation, trigger, scheduled, key, reason)
JOIN automations AS a ON a.id = v.automation
LEFT JOIN reconciler.resources AS s ON s.row_id = a.id
ON CONFLICT ("automationId", "idempotencyKey") WHERE "idempotencyKey" IS NOT NULL
DO NOTHING
""".encode()

# One update of each row: a second one in the same transaction would check its foreign keys again.
# (SELECT ...) hides how many they are: for some hundreds the planner would rather read the table.
_ADVANCE = f"""
UPDATE workflow_triggers AS t
SET "nextFireAt" = v.next AT TIME ZONE 'UTC', "scheduleError" = v.problem,
    "triggerCount" = t."triggerCount" + v.fires,
    "lastTriggeredAt" = CASE WHEN v.fires > 0 THEN {NOW} ELSE t."lastTriggeredAt" END
FROM unnest(
    (SELECT %(ids)s::text[]), (SELECT %(next)s::timestamptz[]), (SELECT %(problems)s::text[]),
    (SELECT %(fires)s::integer[])) AS v(id, next, problem, fires)
WHERE t.id = v.id
""".encode()

_SKIPPED = "skipped: the run before it had not ended"
_WAITING = "skipped: another run waited for the one before it already"
_OVERTAKEN = "skipped: a newer occurrence was due as well"
_FULL = "skipped: too many executions of this automation waited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A trigger's row that is due, locked."""

    id: str
    automation_id: str
    schedule: Schedule
    overlap: str
    due: datetime
    now: datetime  # the database's
    active: bool  # its automation is


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """An occurrence that is recorded and not run."""

    row: Row
    nominal: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What a tick did: occurrences by outcome, seconds each was late, schedules that are broken."""

    schedules: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    late: tuple[float, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Plan:
    """All that one tick writes."""

    new: list[NewExecution] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)  # of *new*, in its order
    skipped: list[Skip] = field(default_factory=list)
    cancel: dict[str, datetime] = field(default_factory=dict)  # trigger -> runs before that end
    following: dict[str, datetime] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    missed: int = 0

    @classmethod
    def of(cls, rows: Sequence[Row], live: Mapping[str, Live]) -> Plan:
        """Decide for each of *rows*; what is broken in one does not touch the others."""
        plan = cls()
        for row in rows:
            try:
                plan._add(row, live.get(row.id, Live()))
            except (ValueError, OverflowError) as error:
                plan.broken[row.id] = str(error)
        # One order for all daemons, so that no two wait for each other's rows.
        order = sorted(range(len(plan.new)), key=lambda n: plan.new[n].automation_id)
        plan.new, plan.rows = [plan.new[n] for n in order], [plan.rows[n] for n in order]
        return plan

    def _add(self, row: Row, live: Live) -> None:
        schedule = row.schedule
        if not row.active:
            self.following[row.id] = next_fire(schedule.expression, schedule.zone, row.now)
            return
        due = look(schedule, row.due, row.now)
        decision = decide(row.overlap, live, len(due.nominal))
        self._start(row, due, decision.starts)
        if decision.cancel_earlier:
            self.cancel[row.id] = due.nominal[-1]
        self.missed += due.missed
        self.following[row.id] = due.following

    def _start(self, row: Row, due: Due, starts: tuple[Start, ...]) -> None:
        new: list[NewExecution] = []
        for nominal, start in zip(due.nominal, starts, strict=True):
            if start is Start.NOT:
                reason = _WAITING if row.overlap == "queue_one" else _SKIPPED
                if row.overlap == "cancel_other":
                    reason = _OVERTAKEN
                self.skipped.append(Skip(row=row, nominal=nominal, reason=reason))
                continue
            held = start is Start.AFTER_EARLIER
            at = HELD_UNTIL if held else start_at(row.id, row.schedule, nominal)
            new.append(
                NewExecution(
                    automation_id=row.automation_id,
                    cause=Cause.SCHEDULE,
                    trigger_data=item(nominal, row.schedule.zone),
                    trigger_id=row.id,
                    idempotency_key=key(row.id, nominal),
                    scheduled_for=nominal,
                    run_at=at if at > row.now else None,
                )
            )
        self.new += new
        self.rows += [row] * len(new)

    def skips(self, accepted: Sequence[Accepted]) -> list[Skip]:
        """List what is only recorded, with the occurrences for which there was no room."""
        full = [
            Skip(row=row, nominal=new.scheduled_for, reason=_FULL)
            for row, new, answer in zip(self.rows, self.new, accepted, strict=True)
            if answer.refusal is Refusal.FULL and new.scheduled_for is not None
        ]
        return [*self.skipped, *full]

    def fired(self, accepted: Sequence[Accepted]) -> Fired:
        """Sum up, once it is written."""
        outcomes = Counter({"skipped": len(self.skipped), "missed": self.missed})
        late: list[float] = []
        for row, new, answer in zip(self.rows, self.new, accepted, strict=True):
            if answer.fresh and new.scheduled_for is not None:
                late.append((row.now - new.scheduled_for).total_seconds())
            else:
                outcomes["known" if answer.refusal is None else "refused"] += 1
        outcomes["fired"] = len(late)
        return Fired(
            schedules=len(self.following) + len(self.broken),
            outcomes=outcomes,
            late=tuple(late),
            broken=tuple(self.broken.items()),
        )


async def claim(connection: Connection, limit: int, only: str | None = None) -> list[Row]:
    """Lock up to *limit* schedules (or *only* that one) that are due and not locked already."""
    statement = _CLAIM if only is None else _CLAIM_ONE
    values = {"limit": limit, "only": only}
    cursor = await connection.execute(statement, values, prepare=True)
    return [_row(*row) for row in await cursor.fetchall()]


def _row(*columns: Any) -> Row:
    (id_, automation, cron, zone, misfire, grace, overlap, jitter, due, now, active) = columns
    return Row(
        id=id_,
        automation_id=automation,
        schedule=_schedule(cron or "", zone, misfire, grace, jitter),
        overlap=overlap,
        due=due,
        now=now,
        active=bool(active),
    )


@functools.lru_cache(maxsize=8192)
def _schedule(cron: str, zone: str, misfire: str, grace: int | None, jitter: int) -> Schedule:
    return Schedule(
        expression=cron,
        zone=zone,
        misfire=misfire,
        grace=GRACE if grace is None else timedelta(seconds=grace),
        jitter=timedelta(seconds=jitter),
    )


async def live(connection: Connection, rows: Sequence[Row]) -> dict[str, Live]:
    """Count the runs of *rows* that have not ended, where that matters."""
    ids = [row.id for row in rows if row.overlap != "allow"]
    if not ids:
        return {}
    cursor = await connection.execute(_LIVE, {"ids": ids}, prepare=True)
    return {row[0]: Live(queued=row[1], running=row[2]) for row in await cursor.fetchall()}


async def cancel_earlier(connection: Connection, before: Mapping[str, datetime]) -> None:
    """Cancel each trigger's runs for earlier times that wait, and ask for the end of running ones."""
    if before:
        values = {"ids": list(before), "before": list(before.values())}
        await connection.execute(_CANCEL, values)


async def record(connection: Connection, skips: Sequence[Skip], new_id: Callable[[], str]) -> None:
    """Write an execution, cancelled from the start, for each occurrence that is not run."""
    if not skips:
        return
    values = {
        "ids": [new_id() for _ in skips],
        "automations": [skip.row.automation_id for skip in skips],
        "triggers": [skip.row.id for skip in skips],
        "scheduled": [skip.nominal for skip in skips],
        "keys": [key(skip.row.id, skip.nominal) for skip in skips],
        "reasons": [skip.reason for skip in skips],
    }
    await connection.execute(_RECORD, values)


async def advance(connection: Connection, plan: Plan, accepted: Sequence[Accepted]) -> None:
    """Write of each schedule its next fire (or why there is none), and count what it started."""
    ids = [*plan.following, *plan.broken]
    fires = Counter(row.id for row, answer in zip(plan.rows, accepted, strict=True) if answer.fresh)
    values = {
        "ids": ids,
        "next": [plan.following.get(id_) for id_ in ids],
        "problems": [plan.broken.get(id_) for id_ in ids],
        "fires": [fires[id_] for id_ in ids],
    }
    await connection.execute(_ADVANCE, values, prepare=True)
