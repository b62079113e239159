"""A worker takes rows: fairly between automations, never more than each one allows.

One statement. It looks at the next automations that have something due and may run it, as many
as it could serve, and begins with those that wait longest for their turn; the next claim
goes on behind them. So a claim costs the same whether ten automations wait or ten thousand,
and none waits for ever. The lock on an automation's runtime row makes its limit exact over any
number of workers. Rescuing takes over the rows of workers that are gone, with the attempt that
they began. Not here: running anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from reconciler.store.database import Database
from reconciler.store.executions.decoding import branches_of, cause_of
from reconciler.trigger.execution import Cause, Claimed

DEFAULT_CONCURRENCY: Final = 5  # as in the specs
_NEAR: Final = 10  # automations that a claim looks at, or as many as rows are asked for
_LOOKS: Final = 8  # when other workers hold all that was looked at, for they look there as well

_NOW = "(statement_timestamp() AT TIME ZONE 'UTC')"

# What `fire` is held for. Nearly always there are no holds: then the short statement is enough,
# and it takes nothing and says so when there are some.
_OPEN = """
    FROM reconciler.holds WHERE released_at IS NULL AND 'fire' = ANY(held)
        AND (until IS NULL OR until > statement_timestamp())"""
_HELD = f"""
open_holds AS MATERIALIZED (
    SELECT organization, kind, name {_OPEN}
), held AS MATERIALIZED (
    SELECT s.row_id AS id FROM open_holds AS h
    JOIN reconciler.resources AS s ON s.organization = h.organization AND s.kind = 'Automation'
        AND (h.kind IS NULL OR (h.kind = s.kind AND (h.name IS NULL OR h.name = s.name)))
)"""

# A condition that waiting_idx answers and no other index: with statistics from a quieter time the
# planner would take one on the status, and sort all that wait each time.
WAITS = "(e.status = 'QUEUED') IS TRUE"

_READY_ORDER = 'e."automationId", e.priority, e."runAt", e.id'


def _loose_scan(name: str, first: str = "", each: str = "") -> str:
    """Write a loose index scan: each automation that has rows waiting, however many they are.

    *first* and *each* are conditions on the automation it begins with, and on all others.
    """
    return f"""
{name} AS (
    (SELECT e."automationId" AS id, e."runAt" AS due FROM workflow_executions AS e
     WHERE {WAITS}{first} ORDER BY {_READY_ORDER} LIMIT 1)
    UNION ALL
    SELECT n.id, n.due FROM {name} AS h CROSS JOIN LATERAL (
        SELECT e."automationId" AS id, e."runAt" AS due FROM workflow_executions AS e
        WHERE {WAITS} AND e."automationId" > h.id{each} ORDER BY {_READY_ORDER} LIMIT 1
    ) AS n
)"""


HEADS = _loose_scan("heads")
# Behind the place of the last claim; then from the beginning up to it. A LIMIT stops both.
_BEYOND = ' AND e."automationId" > %(after)s'
_UP_TO = ' AND e."automationId" <= %(after)s'
_AHEAD = _loose_scan("ahead", _BEYOND)
_BEHIND = _loose_scan("behind", _UP_TO, _UP_TO)

_READY = f"""
e."automationId" = r.automation_id AND {WAITS} AND e."runAt" <= {_NOW}
/* causes */"""

# Mostly the first row of an automation is due. Not EXISTS: the planner would drop the order, and
# with it the right index.
_SOME_READY = f"""(/* first is due: */ (
    SELECT e.id FROM workflow_executions AS e WHERE {_READY} ORDER BY {_READY_ORDER} LIMIT 1
) IS NOT NULL)"""

_LIMIT = f"COALESCE(r.max_concurrency, {DEFAULT_CONCURRENCY})"

# A half-open breaker without any run lost its probe: let another one through.
_ROOM = f"""
r.running < {_LIMIT} AND (
    r.breaker = 'CLOSED'
    OR (r.breaker = 'OPEN' AND (r.breaker_until IS NULL OR r.breaker_until <= statement_timestamp()))
    OR (r.breaker = 'HALF_OPEN' AND r.running = 0)
)"""
_NOTHING_HELD = f"NOT EXISTS (SELECT {_OPEN})"
_NOT_HELD = """
r.automation_id NOT IN (SELECT id FROM held)
AND NOT EXISTS (SELECT FROM open_holds WHERE organization = '/')"""


def _may_run(unless_held: str) -> str:
    return f"""
CROSS JOIN LATERAL (
    SELECT FROM reconciler.automation_runtime AS r
    WHERE r.automation_id = h.id AND {_ROOM} AND {unless_held} AND {_SOME_READY} LIMIT 1
) AS r
CROSS JOIN LATERAL (
    SELECT FROM automations AS x WHERE x.id = h.id AND x."isActive" LIMIT 1
) AS a"""


# What all rows of an automation share is looked up once. Each look-up is limited: no plan reads a
# whole table for some rows.
def _shared(automations: str) -> str:
    return f"""
shared AS MATERIALIZED (
    SELECT p.automation_id AS id, a.name, a."n8nWorkflowId" AS workflow,
        a.metadata #>> '{{reconciler,entry}}' AS entry, r.at_most_once, s.organization,
        s.name AS resource, s.revision
    FROM {automations} AS p
    LEFT JOIN LATERAL (
        SELECT x.name, x."n8nWorkflowId", x.metadata FROM automations AS x
        WHERE x.id = p.automation_id LIMIT 1
    ) AS a ON true
    LEFT JOIN LATERAL (
        SELECT x.at_most_once FROM reconciler.automation_runtime AS x
        WHERE x.automation_id = p.automation_id LIMIT 1
    ) AS r ON true
    LEFT JOIN LATERAL (
        SELECT x.organization, x.name, x.revision FROM reconciler.resources AS x
        WHERE x.row_id = p.automation_id LIMIT 1
    ) AS s ON true
)"""


_COLUMNS = """c.id, c."automationId", c."orgId", COALESCE(h.organization, ''),
    COALESCE(h.resource, h.name), h.workflow, h.entry, t.name, COALESCE(c.cause, 'api'),
    c.method, c."triggerData", c.attempt, c."maxAttempts", c."timeoutSeconds",
    COALESCE(h.at_most_once, false), c.revision, c."n8nExecutionId", c.elapsed,
    c."cancelRequestedAt" IS NOT NULL, c."startedAt" AS began"""
_JOINED = """
LEFT JOIN shared AS h ON h.id = c."automationId"
LEFT JOIN LATERAL (
    SELECT x.name FROM workflow_triggers AS x
    WHERE x.id = c."triggerId" AND x."orgId" = c."orgId" LIMIT 1
) AS t ON true
"""

_TAKEN = """e.id, e."automationId", e."orgId", e.cause, e.method, e."triggerData", e.attempt,
        e."maxAttempts", COALESCE(e."timeoutSeconds", 300) AS "timeoutSeconds", e.revision,
        e."n8nExecutionId", e."cancelRequestedAt", e."triggerId", e."startedAt"
"""


# `pick` is read no further than `due` needs it: an automation that gets no row is not locked.
def _claiming(scans: str, waiting: str, *, held: bool) -> str:
    return f"""
WITH RECURSIVE {scans}, {f"{_HELD}," if held else ""} near AS (
    SELECT h.id FROM {waiting} AS h {_may_run(_NOT_HELD if held else _NOTHING_HELD)}
    LIMIT GREATEST(%(count)s, {_NEAR})
), seen AS MATERIALIZED (
    SELECT ARRAY(SELECT id FROM near) AS ids
), pick AS MATERIALIZED (
    SELECT r.automation_id,
        CASE r.breaker WHEN 'CLOSED' THEN {_LIMIT} - r.running ELSE 1 END AS free
    FROM reconciler.automation_runtime AS r
    WHERE r.automation_id = ANY((SELECT ids FROM seen)::text[]) AND {_ROOM}
    ORDER BY r.last_served_at NULLS FIRST LIMIT %(count)s
    FOR UPDATE OF r SKIP LOCKED
), due AS MATERIALIZED (
    SELECT x.id, r.automation_id FROM pick AS r CROSS JOIN LATERAL (
        SELECT e.id FROM workflow_executions AS e WHERE {_READY}
        ORDER BY e.priority, e."runAt", e.id LIMIT r.free FOR UPDATE SKIP LOCKED
    ) AS x LIMIT %(count)s
), lots AS MATERIALIZED (
    SELECT automation_id, count(*) AS runs, min(id) AS first FROM due GROUP BY 1
), {_shared("lots")}, served AS (
    UPDATE reconciler.automation_runtime AS r SET running = r.running + d.runs,
        last_served_at = clock_timestamp(),
        breaker = CASE r.breaker WHEN 'CLOSED' THEN 'CLOSED' ELSE 'HALF_OPEN' END,
        probe_execution_id = CASE r.breaker WHEN 'CLOSED' THEN NULL ELSE d.first END
    FROM lots AS d
    WHERE r.automation_id = ANY(ARRAY(SELECT automation_id FROM lots))
        AND r.automation_id = d.automation_id
), taken AS (
    UPDATE workflow_executions AS e SET status = 'RUNNING', attempt = e.attempt + 1,
        "leaseOwner" = %(worker)s, "leaseExpiresAt" = {_NOW} + make_interval(secs => %(lease)s),
        "startedAt" = {_NOW}, "updatedAt" = {_NOW}, "n8nExecutionId" = NULL,
        "n8nVersionId" = NULL,
        revision = COALESCE(
            (SELECT h.revision FROM shared AS h WHERE h.id = e."automationId"), e.revision)
    WHERE e.id = ANY(ARRAY(SELECT id FROM due))
    RETURNING {_TAKEN}, 0.0::float8 AS elapsed
)
SELECT {_COLUMNS}, z.ids[GREATEST(%(count)s, {_NEAR})], EXISTS (SELECT {_OPEN})
FROM seen AS z LEFT JOIN taken AS c ON true {_JOINED}
"""


# Those behind count as well: who stands last in the round must not be served as often as all others.
_AHEAD_AND_BEHIND = "(SELECT * FROM ahead UNION ALL SELECT * FROM behind)"

# Longer than any lease: a clock that was ahead and was put right left it behind. It ends a lease's
# time from now, so that a worker that lives can prolong it before others take its run.
_STRAYED: Final = "10 minutes"

_RESCUE = f"""
WITH strayed AS (
    UPDATE workflow_executions AS e SET "leaseExpiresAt" = {_NOW} + make_interval(secs => %(lease)s)
    WHERE e.id = ANY(ARRAY(
        SELECT d.id FROM workflow_executions AS d
        WHERE d.status = 'RUNNING' AND d."leaseExpiresAt" > {_NOW} + interval '{_STRAYED}'
        ORDER BY d."leaseExpiresAt" DESC LIMIT 1000 FOR UPDATE SKIP LOCKED
    ))
), taken AS (
    UPDATE workflow_executions AS e SET "leaseOwner" = %(worker)s,
        "leaseExpiresAt" = {_NOW} + make_interval(secs => %(lease)s), "updatedAt" = {_NOW}
    WHERE e.id = ANY(ARRAY(
        SELECT d.id FROM workflow_executions AS d
        WHERE d.status = 'RUNNING' AND d."leaseExpiresAt" < {_NOW}
            AND d."leaseOwner" IS DISTINCT FROM %(worker)s
        ORDER BY d."leaseExpiresAt" LIMIT %(count)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING {_TAKEN}, extract(epoch FROM {_NOW} - e."startedAt")::float8 AS elapsed
), noted AS (
    INSERT INTO reconciler.execution_attempts AS b (
        execution_id, attempt, worker, n8n_execution_id, started_at, adopted_at)
    SELECT id, attempt, %(worker)s, "n8nExecutionId", "startedAt" AT TIME ZONE 'UTC',
        statement_timestamp()
    FROM taken
    ON CONFLICT (execution_id, attempt) DO UPDATE SET worker = EXCLUDED.worker,
        adopted_at = EXCLUDED.adopted_at
), {_shared('(SELECT DISTINCT "automationId" AS automation_id FROM taken)')}
SELECT {_COLUMNS} FROM taken AS c {_JOINED}
""".encode()

# When a claim can next find something: at once, when a breaker's pause ends, or when a row is due.
_NEXT = f"""
WITH RECURSIVE {HEADS}, {_HELD}
SELECT LEAST(
    CASE WHEN EXISTS (SELECT FROM heads AS h {_may_run(_NOT_HELD)}) THEN 0.0 END,
    (SELECT extract(epoch FROM min(r.breaker_until) - statement_timestamp())
     FROM reconciler.automation_runtime AS r
     WHERE r.breaker = 'OPEN' AND r.breaker_until > statement_timestamp()
        AND r.automation_id IN (SELECT id FROM heads)),
    (SELECT extract(epoch FROM e."runAt" - {_NOW}) FROM workflow_executions AS e
     WHERE e.status = 'QUEUED' AND e.attempt >= 0 AND e."runAt" > {_NOW} AND e."runAt" < 'infinity'
     ORDER BY e."runAt" LIMIT 1)
)::float8
"""


# Two plans each: a worker for all causes must not pay for those that look at the cause.
def _variants(statement: str) -> dict[bool, bytes]:
    some = "AND COALESCE(e.cause, 'api') = ANY(%(causes)s)"
    every = statement.replace("/* causes */", "").replace(
        "/* first is due: */", f"h.due <= {_NOW} OR"
    )
    return {False: every.encode(), True: statement.replace("/* causes */", some).encode()}


_CLAIMS = {held: _variants(_claiming(_AHEAD, "ahead", held=held)) for held in (False, True)}
_ROUNDS = {
    held: _variants(_claiming(f"{_AHEAD}, {_BEHIND}", _AHEAD_AND_BEHIND, held=held))
    for held in (False, True)
}
_NEXTS = _variants(_NEXT)


@dataclass(slots=True)
class Turn:
    """Whose turn it was, and what the last claim met."""

    after: str = ""  # the next claim begins behind this automation
    holds: bool = False  # there were holds that concern claims


async def claim(
    database: Database,
    turn: Turn,
    worker: str,
    count: int,
    lease: float,
    causes: Collection[Cause] | None,
) -> list[Claimed]:
    """Take up to *count* rows that are due, for *lease* seconds; None as *causes*: of any cause.

    The automations behind *turn* are looked at first.
    """
    values = {"worker": worker, "count": count, "lease": lease, **_words(causes)}
    claimed: list[Claimed] = []
    for _ in range(_LOOKS):
        # From the beginning nothing is behind: nearly always, for seldom do so many automations wait.
        statement = (_ROUNDS if turn.after else _CLAIMS)[turn.holds][causes is not None]
        rows = await database.execute(statement, {**values, "after": turn.after}, prepare=True)
        known, turn.holds = turn.holds, rows[0][-1]
        if turn.holds and not known:
            continue  # nothing was taken; once more with the statement that looks what is held
        turn.after = rows[0][-2] or ""  # it looked at fewer than it might: at all
        claimed = [_claimed(row, adopted=False) for row in rows if row[0] is not None]
        if claimed or not turn.after:
            break
    return claimed


async def rescue(database: Database, worker: str, count: int, lease: float) -> list[Claimed]:
    """Take over up to *count* rows whose worker let its lease end."""
    values = {"worker": worker, "count": count, "lease": lease}
    rows = await database.execute(_RESCUE, values, prepare=True)
    return [_claimed(row, adopted=True) for row in rows]


async def next_due(database: Database, causes: Collection[Cause] | None) -> float | None:
    """Seconds until a claim can find something, 0.0: now; None: nothing waits."""
    rows = await database.execute(_NEXTS[causes is not None], _words(causes), prepare=True)
    return None if rows[0][0] is None else max(0.0, rows[0][0])


def _words(causes: Collection[Cause] | None) -> dict[str, list[str]]:
    return {} if causes is None else {"causes": sorted(cause.value for cause in causes)}


def _claimed(row: tuple[Any, ...], *, adopted: bool) -> Claimed:
    return Claimed(
        id=row[0],
        automation_id=row[1],
        organization_id=row[2],
        organization=row[3],
        automation=row[4],
        workflow_id=row[5],
        branches=branches_of(row[6]),
        trigger_name=row[7],
        cause=cause_of(row[8]),
        method=row[9],
        trigger_data=row[10],
        attempt=row[11],
        max_attempts=row[12],
        timeout_seconds=float(row[13]),
        at_most_once=row[14],
        revision=row[15],
        n8n_execution_id=row[16],
        adopted=adopted,
        elapsed_seconds=max(0.0, row[17]),
        cancel_requested=row[18],
        began_at=row[19],
    )
