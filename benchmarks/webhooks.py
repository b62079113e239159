"""Durable webhook accepts a second, against bare single-row INSERT commits a second.

Both sides use the same number of connections, take turns in one run, and drive one process: the
floor inserts the same rows into the same table, one commit each, and checks, counts and answers
nothing. What the webhooks do besides: HTTP, the signature, known ids, the rate window, the log of
deliveries.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from benchmarks.figures import Figure, table
from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.stack import with_database
from reconciler.store import migrate
from reconciler.store.admin import create_database
from reconciler.store.database import Database
from reconciler.trigger.signature import Auth, Live, sign
from reconciler.web.webhooks import PREFIX

CONNECTIONS = (1, 10, 50)
SECONDS = 4.0  # a turn
TURNS = 3
AUTOMATIONS = 100
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BODY = json.dumps({"order": 4711, "items": [{"sku": "a", "count": 2}], "note": "x" * 150}).encode()
FLOOR = 0.5


async def prepare(url: str) -> None:
    """Make automations with a signed webhook each, whose rate no benchmark reaches."""
    from tests.hooks_rig import hook
    from tests.integration.tenants import tenants_of

    await migrate.upgrade(url)
    with tenants_of(url) as tenants:
        tenants.organization("acme")
        async with Database(url) as database:
            for number in range(AUTOMATIONS):
                id_ = tenants.automation("acme", f"a{number}")
                tenants.sql(
                    "INSERT INTO reconciler.automation_runtime (automation_id, rate_limit) "
                    "VALUES (%s, 1000000000)",
                    id_,
                )
                await hook(database, tenants, id_, secrets=(SECRET,))
        tenants.sql("ANALYZE")


def serve(url: str, pipe: Connection) -> None:
    """Be the daemon's webhook server; tells its address and, at the end, the CPU it used."""
    from tests.hooks_rig import serving

    async def main() -> None:
        async with Database(url, pool_size=8, scans=False) as database, serving(database) as hooks:
            pipe.send(hooks.url)
            loop = asyncio.get_running_loop()
            while await loop.run_in_executor(None, pipe.recv) is not None:
                pipe.send(time.process_time())

    asyncio.run(main())


async def call(port: int, until: float) -> int:
    """Call webhooks over one connection as fast as they are answered; count those accepted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    auth = Auth(scheme="standard-webhooks", secrets=(Live(value=SECRET),))
    done = 0
    while time.perf_counter() < until:
        id_ = secrets.token_hex(8)
        headers = {
            "host": "localhost", "content-type": "application/json",
            "content-length": str(len(BODY)), **sign(auth, BODY, id_=id_, now=datetime.now(UTC)),
        }  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        path = f"{PREFIX}acme-a{done % AUTOMATIONS}"
        writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + BODY)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        assert answer.startswith(b"HTTP/1.1 202"), answer
        done += 1
    writer.close()
    return done


async def insert(url: str, until: float) -> int:
    """Insert rows over one connection, a commit each, as fast as they are committed."""
    item = json.dumps({"headers": {}, "params": {}, "query": {}, "body": json.loads(BODY)})
    statement = b"""
        INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData",
            "idempotencyKey", cause, "updatedAt")
        VALUES (%s, %s, 'acme', 'QUEUED', %s::jsonb, %s, 'webhook', now() AT TIME ZONE 'UTC')
        """
    done = 0
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while time.perf_counter() < until:
            id_ = secrets.token_hex(12)
            values = (id_, f"acme-a{done % AUTOMATIONS}", item, id_)
            await connection.execute(statement, values, prepare=True)
            done += 1
    return done


def turn(connections: int, one: Callable[[float], Any]) -> float:
    """Let *connections* work for a turn; tell how many a second were done."""

    async def main() -> float:
        began = time.perf_counter()
        counts = await asyncio.gather(*(one(began + SECONDS) for _ in range(connections)))
        return float(sum(counts)) / (time.perf_counter() - began)

    return asyncio.run(main())


@contextmanager
def daemon(url: str) -> Iterator[tuple[int, Connection]]:
    """Start the server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(url, theirs))
    process.start()
    try:
        yield int(ours.recv().rpartition(":")[2]), ours
    finally:
        ours.send(None)
        process.join(10)
        process.kill()


def measure(url: str) -> list[Figure]:
    """Measure with each number of connections, both sides in turns."""
    figures: list[Figure] = []
    with daemon(url) as (port, pipe):
        for connections in CONNECTIONS:
            accepts, inserts, cpu = [], [], []
            for _ in range(TURNS):
                inserts.append(turn(connections, lambda until: insert(url, until)))
                pipe.send("cpu")
                before = pipe.recv()
                accepts.append(turn(connections, lambda until: call(port, until)))
                pipe.send("cpu")
                cpu.append((pipe.recv() - before) / (accepts[-1] * SECONDS) * 1e6)
            ratio = statistics.median(a / i for a, i in zip(accepts, inserts, strict=True))
            figures.append(
                Figure(
                    part="webhooks",
                    what=f"durable accepts, {connections} connections",
                    ours=statistics.median(accepts),
                    baseline=statistics.median(inserts),
                    unit="/s",
                    ratio=ratio,
                    # One connection waits for everything in turn: nothing is there to share.
                    at_least=FLOOR if connections > 1 else None,
                    note=f"{statistics.median(cpu):.0f} us CPU an accept in the daemon",
                )
            )
    return figures


def run(server_url: str) -> list[Figure]:
    """Measure on a database of its own on the server at *server_url*."""
    create_database(server_url, "bench_webhooks")
    url = with_database(server_url, "bench_webhooks")
    asyncio.run(prepare(url))
    return measure(url)


def main() -> None:
    """Run on a PostgreSQL of its own, as durable as in production."""
    with TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        print(table(run(server.url())))


if __name__ == "__main__":
    main()
