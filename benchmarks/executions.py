"""What an execution costs besides its workflow: CPU here and in PostgreSQL; plans at a million rows.

A worker of ours drains executions that do nothing. CPU is counted, not time: on a busy machine the
first tells more. What the machine makes of a microsecond, a plain queue says in the same run
(`benchmarks.plain_queue`).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from benchmarks import plain_queue
from benchmarks.figures import Figure, table
from reconciler.app import new_id
from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.stack import with_database
from reconciler.runtime.hold import Hold
from reconciler.runtime.ports import Pace
from reconciler.runtime.worker import Worker
from reconciler.store import migrate
from reconciler.store.admin import create_database
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.trigger.execution import Ended, Status
from tests.execution_plans import Carried, Shape, carry_out, fill, statements

JOBS = 5_000
ROUNDS = 3
AUTOMATIONS = 50
MICROSECONDS = 300.0
SETTLED = 0.2  # seconds until the process that filled the table is gone and counted
ROWS = 1_000_000
READ = 5_000  # rows that a statement may look at, whatever the table holds

_MAKE = f"""
INSERT INTO organization (id, name, "updatedAt") VALUES ('o1', 'acme', now());
INSERT INTO users (id, email, "updatedAt") VALUES ('u1', 'ops@acme.example', now());
INSERT INTO automations (id, name, "triggerType", "triggerConfig", "orgId", "createdById",
    "updatedAt")
SELECT 'a' || n, 'a' || n, 'WEBHOOK', '{{}}', 'o1', 'u1', now()
FROM generate_series(0, {AUTOMATIONS - 1}) AS n;
INSERT INTO reconciler.automation_runtime (automation_id, max_concurrency)
SELECT id, 100 FROM automations
"""
_JOBS = f"""
INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData", cause,
    "updatedAt")
SELECT %s || n, 'a' || n %% {AUTOMATIONS}, 'o1', 'QUEUED', '{{"n": 1}}', 'webhook', now()
FROM generate_series(1, %s) AS n
"""


class Nothing:
    """A workflow that succeeds at once."""

    async def run(self, hold: Hold) -> Ended:
        """Succeed."""
        claimed = hold.claimed
        return Ended(id=claimed.id, attempt=claimed.attempt, status=Status.SUCCESS, milliseconds=1)


def server_cpu(postmaster: int) -> float:
    """Seconds of CPU of a PostgreSQL so far, its processes that ended included."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(entry.name) == postmaster:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == postmaster:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def _drained(database: Database) -> None:
    statement = b"SELECT 1 FROM workflow_executions WHERE status IN ('QUEUED', 'RUNNING') LIMIT 1"
    while True:
        if not await database.execute(statement, {}):
            return
        await asyncio.sleep(0.25)


async def drain(
    url: str, postmaster: int, concurrency: int, label: str = "c"
) -> tuple[float, float]:
    """Let a worker drain JOBS executions; microseconds of CPU each, here and in PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_JOBS.encode(), (f"{label}x", JOBS))
        connection.execute("VACUUM ANALYZE")
    async with Database(url, pool_size=4, scans=False) as database:
        executions = Executions(database, new_id=new_id)
        worker = Worker("bench", executions, Nothing(), pace=Pace(concurrency=concurrency))
        stopping = asyncio.Event()
        await asyncio.sleep(SETTLED)
        server, here = server_cpu(postmaster), time.process_time()
        running = asyncio.create_task(worker.run(stopping))
        async with asyncio.timeout(600):
            await _drained(database)
        spent = time.process_time() - here, server_cpu(postmaster) - server
        stopping.set()
        await running
    return spent[0] / JOBS * 1e6, spent[1] / JOBS * 1e6


def costs(url: str, postmaster: int) -> list[Figure]:
    """Measure on the empty database at *url*."""
    asyncio.run(migrate.upgrade(url))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_MAKE.encode())
    plain_queue.make(url)
    floors: dict[int, list[float]] = {10: [], 50: []}
    spent: dict[int, list[tuple[float, float]]] = {10: [], 50: []}
    for number in range(ROUNDS):
        for concurrency, found in spent.items():
            plain = plain_queue.cost(url, partial(server_cpu, postmaster), JOBS, concurrency)
            floors[concurrency].append(plain)
            label = f"c{number}x{concurrency}"
            found.append(asyncio.run(drain(url, postmaster, concurrency, label)))
    return [_cost(concurrency, found, floors[concurrency]) for concurrency, found in spent.items()]


def _cost(
    concurrency: int, spent: Sequence[tuple[float, float]], floors: Sequence[float]
) -> Figure:
    here, server = sorted(spent, key=sum)[len(spent) // 2]
    floor = statistics.median(floors)
    return Figure(
        part="executions",
        what=f"CPU per execution that does nothing, {concurrency} at once",
        ours=here + server,
        baseline=floor,
        at_most=MICROSECONDS,
        unit="us",
        note=f"{here:.0f} here, {server:.0f} in PostgreSQL; {(here + server) / floor:.1f} times a plain "
        "queue, which tells how fast the machine is now",
    )


def plans(url: str, rows: int = ROWS) -> list[Figure]:
    """Carry out each statement at *rows* rows with both kinds of plans, on the database at *url*."""
    asyncio.run(migrate.upgrade(url))
    carried: list[Carried] = []
    with psycopg.connect(url, autocommit=True) as connection:
        fill(connection, Shape(ended=rows))
        connection.execute("VACUUM ANALYZE")
        for name, statement, values in statements():
            carried += carry_out(connection, name, statement, values)
    whole = [one for one in carried if one.scans]
    slowest = max(carried, key=lambda one: one.milliseconds)
    widest = max(carried, key=lambda one: one.read)
    return [
        Figure(
            part="executions", what=f"plans that read a whole table at {rows:,} rows",
            ours=len(whole), at_most=0, unit="", note=f"of {len(carried)}"
            + "".join(f"; {one.name} ({one.mode})" for one in whole),
        ),
        Figure(
            part="executions", what="rows looked at by the widest statement", ours=widest.read,
            at_most=READ, unit="", note=f"{widest.name}, {widest.mode} plan",
        ),
        Figure(
            part="executions", what="the slowest statement", ours=slowest.milliseconds / 1000,
            note=f"{slowest.name}, {slowest.mode} plan",
        ),
    ]  # fmt: skip


@contextmanager
def server() -> Iterator[tuple[EmbeddedPostgres, int]]:
    """Start a PostgreSQL of our own; with the id of its first process."""
    with TemporaryDirectory(prefix="reconciler-bench-") as folder:
        with EmbeddedPostgres(Path(folder), durable=False) as postgres:
            [file] = Path(folder).rglob("postmaster.pid")
            yield postgres, int(file.read_text().split()[0])


def run() -> list[Figure]:
    """Measure on a PostgreSQL of our own, whose processes can be told from others."""
    figures = []
    with server() as (postgres, postmaster):
        for name in ("costs", "plans"):
            create_database(postgres.url(), name)
            url = with_database(postgres.url(), name)
            figures += costs(url, postmaster) if name == "costs" else plans(url)
    return figures


def main() -> None:
    """Print the figures."""
    sys.stdout.write(table(run()) + "\n")


if __name__ == "__main__":
    main()
