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
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from benchmarks.figures import Figure, Watch, table
from reconciler.app import new_id
from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.stack import with_database
from reconciler.runtime.scheduler import BATCH, Scheduler
from reconciler.store import migrate
from reconciler.store.admin import create_database
from reconciler.store.database import Database
from reconciler.store.notify import Notifier
from reconciler.store.schedules import Schedules

SCHEDULES = 100_000
AUTOMATIONS = 1_000
DUE = 1_000
TURNS = 5
TICK = 3.0  # times what inserting and updating the same rows takes
EMPTY = 0.005  # seconds
LAG = 1.0  # seconds
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
    """Turn the next fire of 1,000 schedules, others in each turn, to *at*; of all others, away."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"TRUNCATE workflow_executions CASCADE")
        connection.execute(
            f"""UPDATE workflow_triggers SET "nextFireAt" = {NOW} + interval '1 day'
            WHERE "nextFireAt" < {NOW} + interval '1 hour'""".encode()
        )
        connection.execute(
            f"""UPDATE workflow_triggers SET "nextFireAt" = {NOW} + %s::interval
            WHERE substr(id, 2)::int %% {SCHEDULES // DUE} = %s""".encode(),
            (at, turn),
        )
        connection.execute("VACUUM ANALYZE workflow_triggers")


async def ticks(url: str) -> tuple[list[float], list[float], list[float], list[float]]:
    """Measure ticks with 1,000 due: seconds, of CPU here, by hand; and looks that find nothing."""
    spent, cpu, floor, empty = [], [], [], []
    async with Database(url) as database:
        notifier = Notifier(database)
        schedules = Schedules(database, new_id=new_id)
        scheduler = Scheduler(schedules, notifier)
        for turn in range(TURNS):
            await asyncio.to_thread(set_due, url, turn, "-1 second")
            watch = Watch()
            await scheduler.tick()
            found = watch.spent()
            spent.append(found.wall)
            cpu.append(found.cpu)
            floor.append(await asyncio.to_thread(bare, url, turn + TURNS))
            for _ in range(20):
                start = time.perf_counter()
                await schedules.work()
                empty.append(time.perf_counter() - start)
        await notifier.close()
    return spent, cpu, floor, empty


def bare(url: str, turn: int) -> float:
    """Insert the rows and advance the schedules of a tick by hand, in batches as large; seconds."""
    set_due(url, turn, "-1 second")
    with psycopg.connect(url, autocommit=True) as connection:
        start = time.perf_counter()
        while True:
            with connection.transaction():
                cursor = connection.execute(_BARE.encode(), prepare=True)
                if cursor.rowcount == 0:
                    return time.perf_counter() - start


async def lag(url: str, turn: int) -> list[float]:
    """Let a running scheduler meet 1,000 that are due at one instant; seconds from it to each row."""
    await asyncio.to_thread(set_due, url, turn, "4 seconds")
    stopping = asyncio.Event()
    async with Database(url) as database:
        notifier = Notifier(database)
        running = asyncio.create_task(
            Scheduler(Schedules(database, new_id=new_id), notifier).run(stopping)
        )
        await asyncio.sleep(7)
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
    spent, cpu, floor, empty = asyncio.run(ticks(url))
    late = asyncio.run(lag(url, 2 * TURNS))
    assert len(late) == DUE, len(late)
    what = f"{DUE:,} due of {SCHEDULES:,}"
    return [
        Figure(
            part="schedules", what=f"one tick, {what}", ours=statistics.median(spent),
            baseline=statistics.median(floor), at_most=TICK,
            ratio=statistics.median(one / other for one, other in zip(spent, floor, strict=True)),
            note=f"median of {TURNS}, the fastest {min(spent) * 1000:.0f} ms; CPU here "
            f"{statistics.median(cpu) / DUE * 1e6:.0f} us each; baseline: the same rows in SQL only",
        ),
        Figure(
            part="schedules", what="a look that finds nothing to do", ours=statistics.median(empty),
            at_most=EMPTY,
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
    async with Database(url) as database:
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
