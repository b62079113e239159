"""One execution on a real n8n: its output, its error, its time, its end by a person."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from reconciler.app import new_id
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.store.notify import Notifier
from reconciler.trigger.execution import Cause, NewExecution
from tests.acceptance.conftest import Stage
from tests.acceptance.fleet import fleet
from tests.acceptance.plant import Plant, Remark, poison, quick, slow

pytestmark = [pytest.mark.postgres, pytest.mark.n8n]
OVER = {"SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"}


class Desk:
    """Asks for runs, and looks at their rows."""

    def __init__(self, plant: Plant, database: Database) -> None:
        self.plant = plant
        self.notifier = Notifier(database)
        self.executions = Executions(database, new_id=new_id, notifier=self.notifier)

    async def ask(self, automation: str, data: Any) -> str:
        new = NewExecution(automation_id=automation, cause=Cause.MANUAL, trigger_data=data)
        [answer] = await self.executions.insert([new])
        assert answer.id is not None
        return answer.id

    async def until(self, id_: str, *states: str, seconds: float = 40) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (row := self.plant.row(id_))["status"] not in (states or OVER):
            assert time.monotonic() < deadline, row
            await asyncio.sleep(0.02)
        return row


async def test_a_run_is_recorded_as_it_was(on_real: Stage, record_property: Remark) -> None:
    plant = Plant(on_real)
    plant.automation("quick", quick())
    plant.automation("poison", poison("the vat is empty"), retries=0)
    plant.automation("long", slow(30), timeout="2s", retries=0)
    plant.automation("endless", slow(50))
    ids = plant.apply()
    async with Database(on_real.database_url, pool_size=8) as database:
        desk = Desk(plant, database)
        with fleet(plant.env()) as workers:
            workers.start()
            await desk.until(await desk.ask(ids["quick"], {"n": 0}))
            await _succeeds(desk, ids["quick"], record_property)
            await _fails(desk, ids["poison"])
            await _takes_too_long(desk, ids["long"])
            await _is_cancelled(desk, ids["endless"])
        await desk.notifier.close()
    assert await plant.repeated() == {}


async def _succeeds(desk: Desk, automation: str, record_property: Remark) -> None:
    took: list[float] = []
    inside: list[int] = []
    for number in range(10):
        begun = time.monotonic()
        row = await desk.until(await desk.ask(automation, [{"n": number}, {"n": -number}]))
        took.append(time.monotonic() - begun)
        inside.append(row["executionTime"])
        assert row["status"] == "SUCCESS", row
        assert row["outputData"] == [{"n": number}, {"n": -number}]
    [run] = [run for run in await desk.plant.runs() if run.correlation == f"{row['id']}:1"]
    assert row["n8nExecutionId"] == run.id
    assert row["n8nVersionId"] == run.version_id
    assert row["executionTime"] > 0
    record_property(
        "from asked to recorded as SUCCESS",
        f"median {sorted(took)[5] * 1000:.0f} ms, most {max(took) * 1000:.0f} ms; "
        f"from claim to end {sorted(inside)[5]} ms",
    )


async def _fails(desk: Desk, automation: str) -> None:
    row = await desk.until(await desk.ask(automation, {}))
    assert row["status"] == "FAILED"
    assert "the vat is empty" in row["errorMessage"]
    assert row["errorNode"] == "Refuse"
    assert row["errorStack"]
    assert row["n8nExecutionId"]


async def _takes_too_long(desk: Desk, automation: str) -> None:
    row = await desk.until(await desk.ask(automation, {}))
    assert row["status"] == "TIMEOUT"
    assert row["errorMessage"] == "the run took longer than 2 s"
    assert 2000 <= row["executionTime"] < 12_000
    assert await _state(desk, row) == "canceled"


async def _is_cancelled(desk: Desk, automation: str) -> None:
    id_ = await desk.ask(automation, {})
    await desk.until(id_, "RUNNING")
    await asyncio.sleep(1)
    await desk.executions.cancel(None, id_)
    row = await desk.until(id_, seconds=15)
    assert row["status"] == "CANCELLED"
    assert await _state(desk, row) == "canceled"


async def _state(desk: Desk, row: dict[str, Any]) -> str:
    [run] = [run for run in await desk.plant.runs() if run.id == row["n8nExecutionId"]]
    return run.state.value
