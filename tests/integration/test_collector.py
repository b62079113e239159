"""Runs that n8n started by itself become executions, each once, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from reconciler.app import new_id
from reconciler.errors import N8nError
from reconciler.n8n.client import N8n
from reconciler.n8n.follow import Follower, Job
from reconciler.n8n.runs import Runs
from reconciler.runtime.collector import Collector, Rhythm
from reconciler.store.native import NativeRuns
from reconciler.trigger.execution import Cause, NewExecution
from reconciler.workflow.entry import ENTRY_HEADER, ENTRY_NAME
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_executions import NEVER, Outcome
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fake_n8n_http import FakeTransport
from tests.worker_rig import Desk, desk

TELEGRAM = "n8n-nodes-base.telegramTrigger"
ROWS = """
SELECT status::text, cause, "n8nExecutionId", "n8nVersionId", "triggerData", "outputData",
    "errorMessage", "errorNode", "executionTime" >= 0, "completedAt" >= "startedAt", attempt
FROM workflow_executions ORDER BY "n8nExecutionId"::int
"""
COUNTERS = """
SELECT "executionCount", "successCount", "failureCount", "avgExecutionTime" IS NOT NULL
FROM automations
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A database, an n8n, and a workflow of an automation."""

    desk: Desk
    fake: FakeN8n
    api: N8n
    runs: Runs

    def collector(self, holder: str = "d1", every: float = 5.0) -> Collector:
        native = NativeRuns(self.desk.database, new_id=new_id)
        return Collector(
            self.runs,
            native,
            holder=holder,
            starts=lambda type_: type_ == TELEGRAM,
            rhythm=Rhythm(every=every, lag=0.0, lease=0.3, away=0.05),
        )

    async def workflow(self, *, managed: bool, automation: str = "a1") -> str:
        """Make a published workflow with a Telegram trigger and its automation; give its id."""
        data: Any = {"name": ENTRY_HEADER, "value": "secret"}
        credential = await self.api.post(
            "/credentials", {"name": automation, "type": "httpHeaderAuth", "data": data}
        )
        nodes: list[Any] = [
            node("Telegram", TELEGRAM, {}),
            node(
                ENTRY_NAME,
                "n8n-nodes-base.webhook",
                {"httpMethod": "POST", "path": automation, "authentication": "headerAuth"},
                credentials={"httpHeaderAuth": {"id": credential["id"], "name": automation}},
            ),
            node("Done", "n8n-nodes-base.noOp", {}),
        ]
        edge: Any = {"main": [[{"node": "Done", "type": "main", "index": 0}]]}
        made = await self.api.post(
            "/workflows",
            {
                "name": automation,
                "nodes": nodes,
                "connections": {"Telegram": edge, ENTRY_NAME: edge},
                "settings": {},
            },
        )
        await self.api.post(f"/workflows/{made['id']}/publish", {})
        self.fake.settle()
        entry: dict[str, Any] = {} if managed else {"entry": []}
        await self.desk.automation(automation, workflow=str(made["id"]), **entry)
        payload = {"n8n": {"nodes": {one["name"]: {"type": one["type"]} for one in nodes}}}
        await self.desk.rows(
            """
            INSERT INTO reconciler.resources (organization, kind, name, row_id, payload)
            VALUES ('acme', 'Automation', %(name)s, %(name)s, %(payload)s::json)
            """,
            name=automation,
            payload=json.dumps(payload),
        )
        return str(made["id"])

    async def rows(self) -> list[tuple[Any, ...]]:
        return await self.desk.rows(ROWS)

    async def counters(self) -> tuple[Any, ...]:
        [row] = await self.desk.rows(COUNTERS)
        return row


def node(name: str, type_: str, parameters: Any, **more: Any) -> Any:
    return {
        "id": name,
        "name": name,
        "type": type_,
        "typeVersion": 1,
        "position": [0, 0],
        "parameters": parameters,
        **more,
    }


@pytest.fixture
async def place(upgraded_url: str) -> AsyncIterator[Place]:
    async with make_place(upgraded_url) as made:
        yield made


@asynccontextmanager
async def make_place(url: str) -> AsyncIterator[Place]:
    fake = FakeN8n(node_types={TELEGRAM, "n8n-nodes-base.webhook", "n8n-nodes-base.noOp"})
    transport = FakeTransport(fake)
    async with desk(url) as rows, N8n("http://n8n", fake.api_key, transport=transport) as api:
        runs = Runs(api, transport=transport)
        yield Place(rows, fake, api, runs)
        await runs.aclose()


async def test_a_native_run_becomes_an_execution_once(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.run_natively(workflow, text="hello")
    collector = place.collector()
    assert [await collector.turn() for _ in range(3)] == [1, 0, 0]
    assert await place.collector().turn() == 0
    [row] = await place.rows()
    assert row[:3] == ("SUCCESS", "native", "1")
    assert row[3] is not None
    assert row[4:6] == ({"text": "hello"}, [{"text": "hello"}])
    assert row[6:] == (None, None, True, True, 1)
    assert await place.counters() == (1, 1, 0, True)


async def test_a_failed_native_run_says_why_and_counts_as_failed(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.script(workflow, Outcome(error="no such chat"))
    place.fake.run_natively(workflow)
    await place.collector().turn()
    [row] = await place.rows()
    assert (row[0], row[6], row[7]) == ("FAILED", "no such chat", "Done")
    assert await place.counters() == (1, 0, 1, False)
    attempts = await place.desk.rows(
        "SELECT worker, outcome, error, error_node FROM reconciler.execution_attempts"
    )
    assert attempts == [("n8n", "FAILED", "no such chat", "Done")]


async def test_a_run_that_we_started_is_not_recorded_again(place: Place) -> None:
    workflow = await place.workflow(managed=True)
    new = NewExecution(automation_id="a1", cause=Cause.API, trigger_data={"n": 1})
    [accepted] = await place.desk.executions.insert([new])
    follower = Follower(place.runs)
    correlation = f"{accepted.id}:1"
    job = Job(
        automation_id="a1",
        workflow_id=workflow,
        secret="secret",
        correlation=correlation,
        body={"id": correlation, "items": [{"n": 1}]},
    )
    await follower.run(job)
    place.fake.run_natively(workflow, text="hello")
    collector = place.collector()
    assert [await collector.turn(), await collector.turn()] == [1, 0]
    rows = await place.desk.rows("SELECT cause, status::text FROM workflow_executions ORDER BY 1")
    assert rows == [("api", "QUEUED"), ("native", "SUCCESS")]
    await follower.aclose()


async def test_a_long_run_stands_as_running_until_it_ends(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.script(workflow, Outcome(seconds=0.6))
    place.fake.run_natively(workflow, text="hello")
    collector = place.collector()
    assert [await collector.turn() for _ in range(2)] == [0, 0]
    [row] = await place.rows()
    assert (row[0], row[4], row[9]) == ("RUNNING", {"text": "hello"}, None)
    running = "SELECT running FROM reconciler.automation_runtime"
    assert await place.desk.value(running) == 0
    await asyncio.sleep(0.7)
    assert await place.collector().turn() == 1  # another daemon: it knows from the database
    [row] = await place.rows()
    assert (row[0], row[5], row[9]) == ("SUCCESS", [{"text": "hello"}], True)
    assert (await place.counters())[:3] == (1, 1, 0)
    assert await place.desk.value(running) == 0


async def test_a_run_that_waits_is_open_and_can_be_cancelled(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.script(workflow, Outcome(seconds=NEVER, waits=True))
    place.fake.run_natively(workflow)
    collector = place.collector()
    for _ in range(3):
        await collector.turn()
    [id_] = [row[0] for row in await place.desk.rows("SELECT id FROM workflow_executions")]
    assert await place.desk.status(id_) == "RUNNING"
    await place.desk.executions.cancel(None, id_)
    assert await collector.turn() == 1
    assert await place.desk.status(id_) == "CANCELLED"
    assert (await place.counters())[:3] == (0, 0, 0)


async def test_a_run_that_n8n_forgot_has_failed(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.script(workflow, Outcome(seconds=NEVER))
    run = place.fake.run_natively(workflow)
    collector = place.collector()
    await collector.turn()
    await collector.turn()
    place.fake.executions.delete(run)
    assert await collector.turn() == 1
    [row] = await place.rows()
    assert row[0] == "FAILED"
    assert "forgotten" in row[6]
    assert row[8:10] == (True, True)


async def test_a_restart_misses_nothing_and_doubles_nothing(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    for batch in range(4):
        for number in range(5):
            place.fake.run_natively(workflow, batch=batch, number=number)
        collector = place.collector(f"d{batch}")
        await collector.turn()
        await collector.turn()
        await asyncio.sleep(0.35)  # its lease ends: it was killed
    rows = await place.rows()
    assert len(rows) == 20
    assert {row[0] for row in rows} == {"SUCCESS"}
    assert await place.counters() == (20, 20, 0, True)


async def test_two_daemons_do_not_collect_at_once(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    first, second = place.collector("d1"), place.collector("d2")
    place.fake.run_natively(workflow)
    assert [await first.turn(), await second.turn()] == [1, 0]
    before = len(place.fake.calls)
    await second.turn()
    assert len(place.fake.calls) == before
    place.fake.run_natively(workflow)
    await asyncio.sleep(0.35)
    assert [await second.turn(), await first.turn()] == [1, 0]
    assert (await place.counters())[0] == 2


async def test_racing_daemons_count_each_run_once(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    for number in range(10):
        place.fake.run_natively(workflow, number=number)
    collectors = [place.collector("same") for _ in range(4)]  # the lease does not part them
    ended = await asyncio.gather(*(collector.turn() for collector in collectors))
    assert sum(ended) == 10
    assert await place.counters() == (10, 10, 0, True)


async def test_runs_of_strangers_are_left_alone(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    stranger = await place.workflow(managed=False, automation="a2")
    await place.desk.rows("DELETE FROM automations WHERE id = 'a2'")
    place.fake.run_natively(stranger)
    place.fake.run_natively(workflow)
    assert await place.collector().turn() == 1


async def test_runs_before_the_automation_are_left_alone(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.run_natively(workflow)
    await place.desk.rows("UPDATE automations SET \"createdAt\" = now() + interval '1 hour'")
    assert await place.collector().turn() == 0


async def test_n8n_being_away_is_no_end(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    collector = place.collector(every=0.05)
    await collector.turn()
    place.fake.run_natively(workflow)
    place.fake.faults.append(Fault(trouble=Trouble.REFUSED, path="/executions", times=4))
    stopping = asyncio.Event()
    task = asyncio.create_task(collector.run(stopping))
    async with asyncio.timeout(20):
        while not await place.rows():  # noqa: ASYNC110  # a row is no event
            await asyncio.sleep(0.1)
    stopping.set()
    await task
    assert (await place.counters())[0] == 1


async def test_a_run_that_n8n_cannot_show_is_recorded_without_its_data(place: Place) -> None:
    workflow = await place.workflow(managed=False)
    place.fake.run_natively(workflow, text="unreadable")
    place.fake.run_natively(workflow, text="readable")
    place.fake.faults.append(Fault(trouble=Trouble.ERROR, path="/executions/1", times=1000))
    collector = place.collector()
    for _ in range(2):
        with pytest.raises(N8nError):
            await collector.turn()
    assert await collector.turn() == 2
    rows = [(row[0], row[2], row[4]) for row in await place.rows()]
    assert rows == [("SUCCESS", "1", {}), ("SUCCESS", "2", {"text": "readable"})]


async def test_a_run_whose_data_is_too_large_to_look_into_is_known_by_its_id(place: Place) -> None:
    await place.workflow(managed=True)
    native = NativeRuns(place.desk.database, new_id=new_id)
    new = NewExecution(automation_id="a1", cause=Cause.API, trigger_data={})
    [accepted] = await place.desk.executions.insert([new])
    await place.desk.rows(
        'UPDATE workflow_executions SET "n8nExecutionId" = %(run)s WHERE id = %(id)s',
        run="77",
        id=accepted.id,
    )

    assert await native.started_by_us("a1", "77")
    assert not await native.started_by_us("a1", "78")
