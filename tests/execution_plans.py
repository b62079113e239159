"""The statements about executions with values, and how PostgreSQL carries each of them out.

For the tests with some rows and for the benchmark with a million.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from reconciler.store.executions import (
    cancelling,
    claim,
    complete,
    ending,
    insert,
    lease,
    read,
    recount,
    retention,
    wait,
)
from reconciler.trigger.breaker import Breaker
from reconciler.trigger.execution import Cause, Ended, NewExecution, Status

LARGE = ("workflow_executions", "execution_attempts")
_PLACEHOLDER = re.compile(r"%\((\w+)\)[sb]")
_AUTOMATIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large the tables are: rows that ended, that wait, that run."""

    ended: int
    queued: int = 500
    running: int = 50

    @property
    def rows(self) -> int:
        """All rows."""
        return self.ended + self.queued + self.running


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """How a statement was carried out: milliseconds, and what was read of the large tables."""

    name: str
    mode: str
    milliseconds: float
    scans: tuple[str, ...]  # large tables that were read from end to end
    read: int  # rows of large tables that were looked at


def fill(connection: psycopg.Connection[Any], shape: Shape, *, stale: bool = False) -> None:
    """Make the rows; *stale*: the statistics are from when nothing waited or ran."""
    now = "(now() AT TIME ZONE 'UTC')"
    connection.execute(
        f"""
        INSERT INTO organization (id, name, "updatedAt") VALUES ('o1', 'acme', now());
        INSERT INTO users (id, email, "updatedAt") VALUES ('u1', 'ops@acme.example', now());
        INSERT INTO automations (id, name, "triggerType", "triggerConfig", "orgId",
            "createdById", "updatedAt")
        SELECT 'a' || n, 'a' || n, 'WEBHOOK', '{{}}', 'o1', 'u1', now()
        FROM generate_series(0, {_AUTOMATIONS - 1}) AS n;
        INSERT INTO workflow_triggers (id, "automationId", "orgId", "triggerType",
            "triggerEvent", name, "updatedAt")
        SELECT 't' || n, 'a' || n, 'o1', 'WEBHOOK', 'webhook.received', 'hook', now()
        FROM generate_series(0, {_AUTOMATIONS - 1}) AS n;
        INSERT INTO reconciler.automation_runtime (automation_id) SELECT id FROM automations;
        INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData",
            cause, "triggerId", "createdAt", "runAt", "startedAt", "completedAt", "executionTime",
            attempt, "idempotencyKey", "updatedAt")
        SELECT 'e' || n, 'a' || n % {_AUTOMATIONS}, 'o1', 'SUCCESS', '{{"n": 1}}', 'webhook',
            't' || n % {_AUTOMATIONS}, at, at, at, at + interval '1 second', 1000, 1, 'k' || n,
            now()
        FROM generate_series(1, {shape.ended}) AS n,
            LATERAL (SELECT {now} - n * interval '3 seconds' AS at) AS t;
        INSERT INTO reconciler.execution_attempts (execution_id, attempt, worker)
        SELECT id, 1, 'w' FROM workflow_executions;
        """.encode()
    )
    if stale:
        connection.execute("ANALYZE")
    connection.execute(
        f"""
        INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData",
            cause, "runAt", "queueDeadline", "createdAt", "updatedAt")
        SELECT 'q' || n, 'a' || n % 200, 'o1', 'QUEUED', '{{"n": 1}}', 'webhook',
            {now} + (n % 5 - 3) * interval '1 minute', {now} + n * interval '1 minute', {now},
            now()
        FROM generate_series(1, {shape.queued}) AS n;
        INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData",
            cause, "leaseOwner", "leaseExpiresAt", attempt, "createdAt", "updatedAt")
        SELECT 'r' || n, 'a' || n % 50, 'o1', 'RUNNING', '{{"n": 1}}', 'webhook', 'w',
            {now} + (n % 3 - 1) * interval '1 minute', 1, {now}, now()
        FROM generate_series(1, {shape.running}) AS n;
        INSERT INTO reconciler.execution_attempts (execution_id, attempt, worker)
        SELECT id, 1, 'w' FROM workflow_executions WHERE status = 'RUNNING';
        UPDATE reconciler.automation_runtime AS r SET running = e.running FROM (
            SELECT "automationId" AS id, count(*) AS running FROM workflow_executions
            WHERE status = 'RUNNING' GROUP BY 1
        ) AS e WHERE e.id = r.automation_id;
        """.encode()
    )
    if not stale:
        connection.execute("ANALYZE")


def statements() -> Iterator[tuple[str, bytes, Mapping[str, Any]]]:
    """Give each statement that is asked often, with values as in use."""
    claiming = {"worker": "w2", "count": 10, "lease": 30.0}
    for name, kinds, after in (("claim", claim._CLAIMS, ""), ("round", claim._ROUNDS, "a3")):
        for held, variants in kinds.items():
            for some, statement in variants.items():
                causes = {"causes": ["webhook"]} if some else {}
                told = name + " of some causes" * some + " with holds" * held
                yield told, statement, {**claiming, "after": after, **causes}
    for some, statement in claim._NEXTS.items():
        name = "next due of some causes" if some else "next due"
        yield name, statement, {"causes": ["webhook"]} if some else {}
    yield "rescue", claim._RESCUE, claiming
    yield "beat", lease._BEAT, {"worker": "w", "lease": 30.0}
    started = {"worker": "w", "ids": ["r1", "r2"], "attempts": [1, 1], "runs": ["5", "6"]}
    yield "note started", lease._STARTED, started
    yield "release", lease._RELEASE, {"worker": "w", "ids": ["r1", "r2"]}
    ends = [Ended(id=f"r{n}", attempt=1, status=Status.SUCCESS) for n in range(1, 51)]
    yield "complete 50", complete._END, complete._values("w", ends)
    yield "complete 1", complete._END, complete._values("w", ends[:1])
    yield "requeue", complete._REQUEUE, {"worker": "w", "ids": ["r1", "r2"]}
    tallies = {f"a{n}": complete._Tally(left=1, tried=True, times=[1.0]) for n in range(50)}
    now = datetime.now(UTC)
    states = {name: (now, Breaker()) for name in tallies}
    yield "count 50", complete._COUNT, complete._counts(tallies, states)
    yield from _asking(now)


def _asking(now: datetime) -> Iterator[tuple[str, bytes, Mapping[str, Any]]]:
    new = NewExecution(
        automation_id="a7", cause=Cause.API, trigger_data={}, idempotency_key="k7", trigger_id="t7"
    )
    yield "insert 1", insert._INSERT, insert._values([("n1", new, "{}")])
    many = [(f"n{n}", new, "{}") for n in range(100)]
    yield "insert 100", insert._INSERT, insert._values(many)
    known = {"ids": ["n1"], "automations": ["a7"], "keys": ["k7"]}
    yield "known key", insert._KNOWN, known
    yield "cancel", ending._CANCEL, {"organization": "o1", "id": "q1"}
    for of, chosen in (
        ("an automation", read.Filters(automation_id="a7", until=now)),
        ("an organization", read.Filters(organization_id="o1", until=now)),
        ("a cause", read.Filters(causes=[Cause.WEBHOOK], until=now)),
    ):
        where, values = cancelling._open(chosen)
        yield f"cancel all of {of}", cancelling._cancelling(where), values
    yield "late", ending._LATE, {}
    yield "switched off", ending._OFF, {}
    yield "get", read._GET, {"organization": "o1", "id": "e7"}
    yield "get by the beginning", read._BEGINNING, {"start": "e7777"}
    yield "attempts", read._ATTEMPTS, {"id": "e7"}
    yield "ended", wait._ENDED, {"ids": ["e7", "q1"]}
    yield "recount", recount._SUSPECTS, {}
    yield "old ones", retention._OLD, {"days": 30, "batch": 1000}
    beyond = {"automation": "a7", "newest": now - timedelta(days=1), "id": "e7", "batch": 1000}
    yield "beyond a number", retention._BEYOND, beyond
    place = {"after": now - timedelta(hours=1), "after_id": "e9"}
    for name, filters in (
        ("list", read.Filters()),
        ("list of an organization", read.Filters(organization_id="o1")),
        ("list of an automation", read.Filters(organization_id="o1", automation_id="a7")),
        ("list since", read.Filters(organization_id="o1", since=now - timedelta(hours=2))),
    ):
        values = {**read._filled(filters), **place}
        yield name, read._listing(values, 50), values


def carry_out(
    connection: psycopg.Connection[Any],
    name: str,
    statement: bytes,
    values: Mapping[str, Any],
    large: Collection[str] = LARGE,
) -> Iterator[Carried]:
    """Carry out one statement with a generic and with a custom plan, and take it back."""
    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    prepared = _PLACEHOLDER.sub(place, statement.decode()).replace("%%", "%")
    for mode in ("force_generic_plan", "force_custom_plan"):
        connection.execute(f"SET plan_cache_mode TO {mode}")
        with connection.transaction(force_rollback=True):
            connection.execute(f"PREPARE it AS {prepared}".encode())
            arguments = f"({', '.join(f'%({name})s' for name in names)})" if names else ""
            cursor = psycopg.ClientCursor(connection)
            cursor.execute(
                f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE it{arguments}".encode(), dict(values)
            )
            [(plan,)] = cursor.fetchall()
            connection.execute("DEALLOCATE it")
        [top] = plan if isinstance(plan, list) else json.loads(plan)
        nodes = [node for node in _nodes(top["Plan"]) if node.get("Relation Name") in large]
        yield Carried(
            name=name,
            mode=mode.split("_")[1],
            milliseconds=top["Execution Time"],
            scans=tuple(n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"),
            read=sum(
                (n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"]
                for n in nodes
                if "Scan" in n["Node Type"]
            ),
        )


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
