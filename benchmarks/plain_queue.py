"""The simplest queue in PostgreSQL that loses nothing, as a measure for ours on this machine.

One narrow table with three indexes; rows are taken with SKIP LOCKED, ten at a time, run as tasks and
ended together. No limits, no fairness, no attempts, no counters, no breaker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import psycopg

_TABLE = b"""
CREATE TABLE plain_jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL DEFAULT 'queued',
    data jsonb NOT NULL, run_at timestamptz NOT NULL DEFAULT now(), attempt int NOT NULL DEFAULT 0,
    worker text, leased_until timestamptz, started_at timestamptz, ended_at timestamptz, took int
);
CREATE INDEX plain_jobs_queued ON plain_jobs (run_at, id) WHERE status = 'queued';
CREATE INDEX plain_jobs_leased ON plain_jobs (leased_until) WHERE status = 'running'
"""
_FILL = b"""INSERT INTO plain_jobs (data) SELECT '{"n": 1}' FROM generate_series(1, %s)"""
_CLAIM = b"""
UPDATE plain_jobs SET status = 'running', attempt = attempt + 1, worker = %s,
    leased_until = now() + interval '30 seconds', started_at = now()
WHERE id = ANY(ARRAY(
    SELECT id FROM plain_jobs WHERE status = 'queued' AND run_at <= now()
    ORDER BY run_at, id LIMIT %s FOR UPDATE SKIP LOCKED
)) RETURNING id, attempt, data
"""
_END = b"""
UPDATE plain_jobs AS j SET status = 'done', ended_at = now(), took = v.took, worker = NULL,
    leased_until = NULL
FROM unnest(%s::bigint[], %s::int[], %s::int[]) AS v (id, attempt, took)
WHERE j.id = v.id AND j.attempt = v.attempt AND j.worker = %s
"""


def make(url: str) -> None:
    """Make the table in the database at *url*."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)


def cost(url: str, server_cpu: Callable[[], float], jobs: int, at_once: int) -> float:
    """Drain *jobs* that do nothing; return microseconds of CPU each, here and in PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FILL, (jobs,))
        connection.execute("VACUUM ANALYZE plain_jobs")
    time.sleep(0.2)  # the process that filled the table is gone and counted
    here, server = time.process_time(), server_cpu()
    asyncio.run(_drain(url, at_once))
    return (time.process_time() - here + server_cpu() - server) / jobs * 1e6


async def _drain(url: str, at_once: int) -> None:
    ended: list[tuple[int, int, int]] = []

    async def run(id_: int, attempt: int) -> None:
        begun = time.perf_counter()
        ended.append((id_, attempt, int((time.perf_counter() - begun) * 1000)))

    connect = psycopg.AsyncConnection.connect
    async with await connect(url, autocommit=True, prepare_threshold=1) as connection:
        while True:
            cursor = await connection.execute(_CLAIM, ("bench", at_once), binary=True)
            rows = await cursor.fetchall()
            if not rows:
                return
            async with asyncio.TaskGroup() as group:
                for id_, attempt, _ in rows:
                    group.create_task(run(id_, attempt))
            columns = [list(column) for column in zip(*ended, strict=True)]
            await connection.execute(_END, (*columns, "bench"))
            ended.clear()
