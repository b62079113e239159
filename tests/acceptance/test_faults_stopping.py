"""Workers are told to stop, or freeze for a minute, while n8n runs: each run happens once."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.fleet import Callers, all_over, fleet
from tests.acceptance.invariants import figures, record
from tests.acceptance.plant import Plant, Remark, quick, slow

pytestmark = [pytest.mark.postgres, pytest.mark.n8n, pytest.mark.slow]
RUNNING = "SELECT count(*) FROM workflow_executions WHERE status = 'RUNNING'"
KNOWN = 'SELECT count(*) FROM workflow_executions WHERE "n8nExecutionId" IS NOT NULL'


async def reached(stage: Stage, query: str, count: int, seconds: float = 30) -> None:
    """Wait until *query* counts *count*."""
    deadline = time.monotonic() + seconds
    while (found := stage.value(query)) != count:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_a_worker_that_is_told_to_stop_during_50_runs_finishes_them(
    on_real: Stage, record_property: Remark
) -> None:
    plant = Plant(on_real)
    plant.automation("slow", slow(5), concurrency=50)
    names = plant.apply()
    record(on_real.database_url)
    callers = Callers(on_real.database_url, [*names.values()])
    with fleet(plant.env(), concurrency=50) as workers:
        worker = workers.start()
        await callers.call(60, together=60)
        await reached(on_real, RUNNING, 50)
        begun = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(worker.wait, 40)
        seconds = time.monotonic() - begun
        done = on_real.value("SELECT count(*) FROM workflow_executions WHERE status = 'SUCCESS'")
        waiting = on_real.value("SELECT count(*) FROM workflow_executions WHERE status = 'QUEUED'")
        workers.start()
        await all_over(on_real.database_url, 60, workers)
    found = figures(on_real.database_url, callers.accepted)
    repeated = await plant.repeated()
    record_property("SIGTERM during 50 runs", f"{found}; ended after {seconds:.1f} s")
    found.hold()
    assert code == 0
    assert (done, waiting) == (50, 10)
    assert found.states == {"SUCCESS": 60}
    assert repeated == {}


async def test_runs_that_outlast_the_grace_go_on_at_another_worker(
    on_real: Stage, record_property: Remark
) -> None:
    plant = Plant(on_real)
    plant.automation("slow", slow(15), concurrency=50)
    names = plant.apply()
    record(on_real.database_url)
    callers = Callers(on_real.database_url, [*names.values()])
    with fleet(plant.env(), concurrency=50, grace=1.0) as workers:
        first = workers.start()
        await callers.call(50, together=50)
        await reached(on_real, RUNNING, 50)
        await reached(on_real, KNOWN, 50)
        workers.start()  # not before: it might have taken all of them
        begun = time.monotonic()
        first.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(first.wait, 20)
        gone = time.monotonic() - begun
        await all_over(on_real.database_url, 60, workers)
    found = figures(on_real.database_url, callers.accepted)
    repeated = await plant.repeated()
    record_property("handed over after 1 s of grace", f"{found}; gone after {gone:.1f} s")
    found.hold()
    assert code == 0
    assert gone < 8
    assert found.states == {"SUCCESS": 50}
    assert found.rescued > 0
    assert repeated == {}


async def test_a_worker_is_frozen_for_a_minute(on_real: Stage, record_property: Remark) -> None:
    plant = Plant(on_real)
    plant.automation("quick", quick())
    plant.automation("slow", slow(3))
    names = plant.apply()
    record(on_real.database_url)
    callers = Callers(on_real.database_url, [*names.values()])
    begun = time.monotonic()
    with fleet(plant.env()) as workers:
        victim = workers.start()
        calls = asyncio.create_task(callers.call(60, pause=1.0))
        await asyncio.sleep(3)
        await asyncio.to_thread(workers.start)
        workers.freeze(victim)
        frozen = on_real.value(RUNNING)
        await asyncio.sleep(60)
        workers.thaw(victim)
        await calls
        await all_over(on_real.database_url, 30, workers)
        await asyncio.sleep(1)  # for what the thawed one still had in mind
        assert len(workers.alive()) == 2, workers.logs()
    found = figures(on_real.database_url, callers.accepted)
    repeated = await plant.repeated()
    record_property(
        "frozen for 60 s with the default lease of 30 s",
        f"{found}; {frozen} running when it froze, {len(repeated)} run again in n8n, "
        f"{time.monotonic() - begun:.0f} s",
    )
    found.hold()
    assert found.states == {"SUCCESS": 60}
    assert found.rescued > 0
    assert repeated == {}
