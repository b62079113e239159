"""PostgreSQL is stopped, killed, cut off or full under load: what was accepted runs all the same."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.store import migrate
from reconciler.store.admin import create_database
from tests.acceptance.fleet import Callers, all_over, fleet
from tests.acceptance.invariants import figures, record
from tests.acceptance.test_faults_workers import automations
from tests.doubles.tcp_proxy import Plan, Proxy, Strike, proxy_to

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

Remark = Callable[[str, object], None]
PACE = {"lease": 6.0, "heartbeat": 1.0, "rescue": 0.5}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this test alone, durable, so that it may be killed."""
    with EmbeddedPostgres(tmp_path / "server") as server:
        create_database(server.url(), "ours")
        yield server


def fail(server: EmbeddedPostgres, *, kill: bool, seconds: float) -> None:
    """Stop the server, or have it crash, and start it again after *seconds*."""
    facts = server.status()
    assert facts is not None
    if kill:
        os.kill(int(facts["pid"]), signal.SIGKILL)
    server.stop()
    time.sleep(seconds)
    port = urlsplit(server.url()).port
    server.start()
    assert port == urlsplit(server.url()).port


async def test_postgresql_is_stopped_again_and_again_under_load(
    own_server: EmbeddedPostgres, record_property: Remark
) -> None:
    url = own_server.url("ours")
    await migrate.upgrade(url)
    names = await automations(url, 20, max_concurrency=3)
    record(url)
    callers = Callers(url, names)
    begun = time.monotonic()
    with fleet({"DATABASE_URL": url, "RUNNER": "0.05"}, **PACE) as workers:
        for _ in range(2):
            workers.start()
        calls = asyncio.create_task(callers.call(1600, pause=0.05))
        for number, (up, down) in enumerate([(5, 1), (6, 8), (5, 0.1), (7, 3)]):
            await asyncio.sleep(up)
            await asyncio.to_thread(fail, own_server, kill=number % 2 == 1, seconds=down)
        await calls
        await all_over(url, 60, workers)
        assert len(workers.alive()) == 2, workers.logs()
    found = figures(url, callers.accepted)
    record_property(
        "PostgreSQL stopped four times",
        f"{found}; {callers.trouble} calls repeated, {time.monotonic() - begun:.0f} s",
    )
    found.hold()
    assert callers.trouble > 0
    assert found.states == {"SUCCESS": 1600}


async def test_the_network_is_cut_after_commits(database_url: str, record_property: Remark) -> None:
    names = await automations(database_url, 20, max_concurrency=3)
    record(database_url)
    parts = urlsplit(database_url)
    dice = random.Random(3)
    begun = time.monotonic()
    cuts = 0
    with proxy_to(parts.hostname or "", parts.port) as proxy:
        through = _through(database_url, proxy)
        callers = Callers(through, names)
        with fleet({"DATABASE_URL": through, "RUNNER": "0.02"}, **PACE) as workers:
            for _ in range(2):
                workers.start()
            calls = asyncio.create_task(callers.call(800, pause=0.05))
            while not calls.done() or cuts < 60:
                plan = Plan(at=dice.randint(1, 25), strike=Strike.CUT_AFTER)
                proxy.arm(plan)
                await asyncio.to_thread(plan.struck.wait, 2.0)
                cuts += plan.struck.is_set()
                proxy.disarm()
                await asyncio.sleep(0.1)
            await calls
            await all_over(database_url, 60, workers)
    found = figures(database_url, callers.accepted)
    record_property(
        "network cut after the answer",
        f"{found}; {cuts} cuts, {callers.trouble} calls repeated, {time.monotonic() - begun:.0f} s",
    )
    found.hold()
    assert found.states == {"SUCCESS": 800}
    assert callers.trouble > 0


def _through(url: str, proxy: Proxy) -> str:
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{proxy.port}"))


FULL = """
CREATE FUNCTION recorder.full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file "base/16384/16397": No space left on device'
    USING ERRCODE = 'disk_full', HINT = 'Check free disk space.';
END
$$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON workflow_executions
FOR EACH ROW EXECUTE FUNCTION recorder.full();
"""


async def test_the_disk_of_postgresql_is_full_for_a_while(
    database_url: str, record_property: Remark
) -> None:
    names = await automations(database_url, 10, max_concurrency=3)
    record(database_url)
    callers = Callers(database_url, names)
    begun = time.monotonic()
    with fleet({"DATABASE_URL": database_url, "RUNNER": "0.1"}, **PACE) as workers:
        workers.start()
        calls = asyncio.create_task(callers.call(300, pause=0.1))
        await asyncio.sleep(2)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(FULL.encode())
            await asyncio.sleep(8)
            assert not calls.done()
            connection.execute("DROP TRIGGER full_disk ON workflow_executions")
        await calls
        await all_over(database_url, 60, workers)
        assert len(workers.alive()) == 1, workers.logs()
    found = figures(database_url, callers.accepted)
    record_property(
        "disk full for 8 s",
        f"{found}; {callers.trouble} calls repeated, {time.monotonic() - begun:.0f} s",
    )
    found.hold()
    assert callers.trouble > 0
    assert found.states == {"SUCCESS": 300}
