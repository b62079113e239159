"""The lag of 1,000 schedules that are due at once, out of 100,000: `python -m benchmarks.schedules`.

One scheduler on a PostgreSQL that keeps what it commits, with schedules as a spec makes them by
default (zone, overlap `skip`): each due one is locked, its next fire computed, earlier runs looked
up, its execution inserted. Not here: running what was started.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from benchmarks.figures import Figure, Watch, table
from reconciler.app import new_id
from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.stack import with_database
from reconciler.runtime.scheduler import BATCH, LANES, Scheduler
from reconciler.store import migrate
from reconciler.store.admin import create_database
from reconciler.store.database import Database
from reconciler.store.notify import Notifier
from reconciler.store.schedules import Schedules

SCHEDULES = 100_000
AUTOMATIONS = 1_000
DUE = 1_000
TURNS = 5
TICK = 2.5  # times what inserting and updating the same rows takes
EMPTY = 0.002  # seconds
LAG = 1.0  # seconds
OURS, BARE = "reconciler bench", "bare"  # names of connections
NOW = "date_trunc('milliseconds', statement_timestamp() AT TIME ZONE 'UTC')"

_MAKE = f"""
INSERT INTO organization (id, name, "updatedAt") VALUES ('acme', 'Acme', now());
INSERT INTO users (id, email, "updatedAt") VALUES ('u', 'ops@acme.example', now());
INSERT INTO automations (id, name, "triggerType", "triggerConfig", "orgId", "createdById", "updatedAt")
SELECT 'a' || n, 'a' || n, 'SCHEDULE', '{{}}', 'acme', 'u', now() FROM generate_series(0, {AUTOMATIONS - 1}) n;
INSERT INTO reconciler.automation_runtime (automation_id) SELECT id FROM automations;
INSERT INTO workflow_triggers (id, "automationId", "orgId", name, "triggerType", "triggerEvent",
    "cronSchedule", timezone, misfire, overlap, "updatedAt")
SELECT 't' || n, 'a' || n %% {AUTOMATIONS}, 'acme', 't' || n, 'SCHEDULE', 'schedule',
    CASE WHEN n %% 3 = 0 THEN (n %% 60) || ' * * * *'
         ELSE (n %% 60) || ' ' || (n / 60 %% 24) || ' * * *' END,
    (ARRAY['UTC', 'Europe/Berlin', 'America/New_York'])[n %% 3 + 1], 'fire_once', 'skip', now()
FROM generate_series(1, {SCHEDULES}) n;
""".replace("%%", "%")

_BARE = f"""
WITH due AS MATERIALIZED (
    SELECT id, "automationId", "nextFireAt" FROM workflow_triggers
    WHERE "isActive" AND "nextFireAt" <= statement_timestamp() AT TIME ZONE 'UTC'
    ORDER BY "nextFireAt" LIMIT {BATCH} FOR NO KEY UPDATE SKIP LOCKED
), started AS (
    INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData", "triggerId",
        "scheduledFor", "idempotencyKey", cause, "updatedAt")
    SELECT gen_random_uuid(), "automationId", 'acme', 'QUEUED', '{{"timestamp": "{"x" * 300}"}}', id,
        "nextFireAt", id || "nextFireAt", 'schedule', now() FROM due
)
UPDATE workflow_triggers AS t SET "nextFireAt" = t."nextFireAt" + interval '1 day',
    "triggerCount" = t."triggerCount" + 1, "lastTriggeredAt" = now()
FROM due WHERE t.id = due.id
"""


def set_due(url: str, turn: int, at: str) -> None:
    """Turn the next fire of 1,000 schedules, others in each turn, to *at*; of all others, away.

    Each of them belongs to another automation.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"TRUNCATE workflow_executions CASCADE")
        connection.execute(
            f"""UPDATE workflow_triggers SET "nextFireAt" = {NOW} + interval '1 day'
            WHERE "nextFireAt" < {NOW} + interval '1 hour'""".encode()
        )
        connection.execute(
            f"""UPDATE workflow_triggers SET "nextFireAt" = {NOW} + %s::interval
            WHERE substr(id, 2)::int BETWEEN %s AND %s""".encode(),
            (at, turn * DUE + 1, (turn + 1) * DUE),
        )
        connection.execute("VACUUM ANALYZE workflow_triggers")


def connect(url: str) -> Database:
    """Open connections as the daemon's scheduler has them."""
    return Database(url, application_name=OURS, pool_size=LANES, scans=False)


def server_cpu(url: str, name: str) -> float:
    """Seconds of CPU, so far, of PostgreSQL's processes for the connections of *name*."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = %s",
            (name,),
        ).fetchall()
    stats = ((Path("/proc") / str(pid) / "schedstat").read_text() for (pid,) in rows)
    return sum(int(text.split()[0]) for text in stats) / 1e9


@dataclass(slots=True)
class Ticks:
    """What ticks with 1,000 due took, and the same rows by hand: seconds, and CPU of both sides."""

    ours: list[float] = field(default_factory=list)
    here: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    bare_cpu: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)


async def ticks(url: str) -> Ticks:
    """Measure ticks with 1,000 due, and looks that find nothing."""
    found = Ticks()
    async with connect(url) as database:
        notifier = Notifier(database)
        schedules = Schedules(database, new_id=new_id)
        scheduler = Scheduler(schedules, notifier)
        for turn in range(TURNS):
            await asyncio.to_thread(set_due, url, turn, "-1 second")
            server, watch = server_cpu(url, OURS), Watch()
            await scheduler.tick()
            spent = watch.spent()
            found.ours.append(spent.wall)
            found.here.append(spent.cpu)
            found.server.append(server_cpu(url, OURS) - server)
            wall, cpu = await asyncio.to_thread(bare, url, turn + TURNS)
            found.bare.append(wall)
            found.bare_cpu.append(cpu)
            for _ in range(20):
                start = time.perf_counter()
                await schedules.work()
                found.empty.append(time.perf_counter() - start)
        await notifier.close()
    return found


def bare(url: str, turn: int) -> tuple[float, float]:
    """Insert the rows and advance the schedules of a tick by hand, in batches as large.

    Returns seconds, and of CPU here and in PostgreSQL.
    """
    set_due(url, turn, "-1 second")
    with psycopg.connect(url, autocommit=True, application_name=BARE) as connection:
        server, watch = server_cpu(url, BARE), Watch()
        while True:
            with connection.transaction():
                cursor = connection.execute(_BARE.encode(), prepare=True)
                if cursor.rowcount == 0:
                    break
        spent = watch.spent()
        return spent.wall, spent.cpu + server_cpu(url, BARE) - server


async def lag(url: str, turn: int) -> list[float]:
    """Let a running scheduler meet 1,000 that are due at one instant; seconds from it to each row.

    Twice: the first time its connections are new, and a daemon's are not.
    """
    stopping = asyncio.Event()
    async with connect(url) as database:
        notifier = Notifier(database)
        running = asyncio.create_task(
            Scheduler(Schedules(database, new_id=new_id), notifier).run(stopping)
        )
        for again in range(2):
            await asyncio.to_thread(set_due, url, turn + again, "3 seconds")
            await asyncio.sleep(5)
        stopping.set()
        await running
        await notifier.close()
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            'SELECT extract(epoch FROM "createdAt" - "scheduledFor")::float8 '
            "FROM workflow_executions WHERE status = 'QUEUED'"
        ).fetchall()
    return sorted(row[0] for row in rows)


def run(server_url: str) -> list[Figure]:
    """Measure on a database of its own on the server at *server_url*.

    Raises AssertionError when not each one that was due fired once.
    """
    create_database(server_url, "bench_schedules")
    url = with_database(server_url, "bench_schedules")
    asyncio.run(migrate.upgrade(url))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_MAKE.encode())
        connection.execute("VACUUM ANALYZE")
    watch = Watch()
    asyncio.run(_take_in(url))
    taken = watch.spent()
    found = asyncio.run(ticks(url))
    late = asyncio.run(lag(url, 2 * TURNS))
    assert len(late) == DUE, len(late)
    what = f"{DUE:,} due of {SCHEDULES:,}"
    here, server, bare_cpu = (
        statistics.median(seconds) / DUE * 1e6
        for seconds in (found.here, found.server, found.bare_cpu)
    )
    return [
        Figure(
            part="schedules", what=f"one tick, {what}", ours=statistics.median(found.ours),
            baseline=statistics.median(found.bare), at_most=TICK,
            ratio=statistics.median(
                one / other for one, other in zip(found.ours, found.bare, strict=True)
            ),
            note=f"median of {TURNS}, the fastest {min(found.ours) * 1000:.0f} ms; "
            "baseline: the same rows in SQL only",
        ),
        Figure(
            part="schedules", what="CPU of one that fires, here and in PostgreSQL",
            ours=here + server, baseline=bare_cpu, unit="us", ratio=(here + server) / bare_cpu,
            at_most=TICK, note=f"{here:.0f} us of it here; the same baseline",
        ),
        Figure(
            part="schedules", what="a look that finds nothing to do",
            ours=statistics.median(found.empty), at_most=EMPTY,
        ),
        Figure(
            part="schedules", what=f"lag of the last, {what} at one instant", ours=late[-1],
            at_most=LAG, note=f"median {late[len(late) // 2] * 1000:.0f} ms",
        ),
        Figure(
            part="schedules", what=f"taking {SCHEDULES:,} new schedules in", ours=taken.wall,
        ),
    ]  # fmt: skip


async def _take_in(url: str) -> None:
    async with connect(url) as database:
        schedules = Schedules(database, new_id=new_id)
        for _ in itertools.count():
            if (await schedules.take_in(1000)).count == 0:
                return


def main() -> None:
    """Run on a PostgreSQL of its own, as durable as in production."""
    with TemporaryDirectory(prefix="reconciler-bench-") as folder:
        with EmbeddedPostgres(Path(folder)) as postgres:
            sys.stdout.write(table(run(postgres.url())) + "\n")


if __name__ == "__main__":
    main()
