"""Events under faults: dispatchers killed at any moment, connections cut, producers going on.

Afterwards every event has reached each of its triggers exactly once, and the counters say so.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.tenants import Tenants, tenants_of

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests/integration/dispatcher_process.py"
EVENTS = 3000
STEPS = 12  # each kills a dispatcher, and cuts a connection


@contextmanager
def dispatcher(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a dispatcher; it is killed in any case."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), url],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def produce(world: Tenants, begin: int, end: int) -> None:
    """Insert events, a few in each transaction; one in a hundred is poison."""
    world.sql(
        "INSERT INTO reconciler.events (organization_id, id, type, data) SELECT 'acme', 'e' || n, "
        "CASE WHEN n %% 100 = 0 THEN 'poison' ELSE 'DOCUMENT_UPLOADED' END, "
        "jsonb_build_object('n', n) FROM generate_series(%s::int, %s::int - 1) AS n",
        begin,
        end,
    )


def cut(world: Tenants) -> None:
    """Cut the connections of all dispatchers."""
    world.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'reconciler'"
    )


def open_events(world: Tenants) -> int:
    return int(
        world.value("SELECT count(*) FROM reconciler.events WHERE dispatched_at IS NULL") or 0
    )


def test_every_event_reaches_each_trigger_once_whatever_is_killed(upgraded_url: str) -> None:
    chance = random.Random(7)
    with tenants_of(upgraded_url) as world:
        world.organization("acme")
        for name in ("one", "two"):
            world.trigger(world.automation("acme", name), "scans")
        share = EVENTS // STEPS
        for step in range(STEPS):
            with dispatcher(upgraded_url), dispatcher(upgraded_url):
                produce(world, step * share, (step + 1) * share)
                time.sleep(chance.random() * 0.4)
                cut(world)
                time.sleep(chance.random() * 0.2)
        with dispatcher(upgraded_url):
            deadline = time.monotonic() + 60
            while open_events(world):
                assert time.monotonic() < deadline, open_events(world)
                time.sleep(0.1)
        _each_once(world)


def _each_once(world: Tenants) -> None:
    poison = len([n for n in range(EVENTS) if n % 100 == 0])
    good = EVENTS - poison
    keys = world.sql(
        'SELECT "idempotencyKey", count(*) FROM workflow_executions GROUP BY 1 HAVING count(*) > 1'
    )
    assert [] == keys
    assert 2 * good == world.value("SELECT count(*) FROM workflow_executions")
    assert 2 * good == world.value('SELECT sum("triggerCount") FROM workflow_triggers')
    assert 2 * good == world.value("SELECT sum(executions) FROM reconciler.events")
    failed = "SELECT count(*) FROM reconciler.events WHERE error IS NOT NULL"
    assert poison == world.value(failed)
