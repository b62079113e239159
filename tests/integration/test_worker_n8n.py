"""The worker with a real PostgreSQL and an n8n in memory: what each of n8n's answers leads to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from reconciler.n8n.client import Limits, N8n
from reconciler.n8n.follow import Follower
from reconciler.n8n.runs import Runs
from reconciler.n8n.sight import Pace as Looks
from reconciler.resource.payload import Object
from reconciler.runtime.n8n_breaker import N8nBreaker
from reconciler.runtime.ports import Pace
from reconciler.runtime.run import N8nRunner
from reconciler.runtime.worker import Worker
from reconciler.store.replies import Replies, Reply
from reconciler.vault.secret import Secret
from reconciler.workflow.entry import ENTRY_HEADER, ENTRY_NAME
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_executions import NEVER, Outcome
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fake_n8n_http import FakeTransport
from tests.worker_rig import QUICK, Desk, desk, eventually, kill

SECRET = "of-the-entry"
IMPATIENT = Looks(away=0.1, sure=0.2, unseen=0.5, unsure=(0.05,), slow=0.1, slowest=0.2)
ONCE = replace(QUICK, poll=0.2)


@dataclass(slots=True)
class Works:
    """Automations whose workflows stand in a fake n8n."""

    desk: Desk
    fake: FakeN8n = field(default_factory=FakeN8n)
    flows: dict[str, str] = field(default_factory=dict)
    carrier: Callable[[FakeN8n], httpx.AsyncBaseTransport] = FakeTransport

    def api(self) -> N8n:
        limits = Limits(attempts=1, total=3, read=1)
        transport = self.carrier(self.fake)
        return N8n("http://n8n.test", self.fake.api_key, limits=limits, transport=transport)

    async def automation(self, id_: str = "a1", **settings: Any) -> str:
        async with self.api() as api:
            data: Object = {"name": ENTRY_HEADER, "value": SECRET}
            made = await api.post(
                "/credentials", {"name": id_, "type": "httpHeaderAuth", "data": data}
            )
            shown = await api.post("/workflows", _document(id_, str(made["id"])))
            workflow = str(shown["id"])
            await api.post(f"/workflows/{workflow}/publish", {"versionId": shown["versionId"]})
        self.fake.settle()
        self.flows[id_] = workflow
        return await self.desk.automation(id_, workflow=workflow, **settings)

    @asynccontextmanager
    async def working(
        self, name: str = "w1", pace: Pace = ONCE
    ) -> AsyncIterator[tuple[asyncio.Task[None], N8nBreaker]]:
        """Run a worker."""
        async with AsyncExitStack() as stack:
            api = await stack.enter_async_context(self.api())
            runs = Runs(api, transport=self.carrier(self.fake))
            stack.push_async_callback(runs.aclose)
            follower = Follower(runs, IMPATIENT)
            stack.push_async_callback(follower.aclose)
            breaker = N8nBreaker(runs.reachable, lambda: follower.unreachable, every=0.5)
            keep = Replies(self.desk.database).keep
            runner = N8nRunner(follower, breaker, lambda _: Secret(SECRET), keep=keep)
            worker = Worker(name, self.desk.executions, runner, pace=pace, gate=breaker)
            stopping = asyncio.Event()
            task = asyncio.create_task(worker.run(stopping))
            try:
                yield task, breaker
            finally:
                stopping.set()
                await asyncio.wait([task])
            if not task.cancelled():
                await task

    async def row(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.desk.value(
            "SELECT to_jsonb(e) FROM workflow_executions AS e WHERE id = %(id)s", id=id_
        )
        return found

    def posted(self) -> list[str]:
        """The correlation ids that reached an entry."""
        return [
            str(call.body["id"])
            for call in self.fake.calls
            if call.path.startswith("/webhook/") and isinstance(call.body, dict)
        ]


def _document(path: str, credential: str) -> Object:
    entry: Object = {
        "name": ENTRY_NAME,
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2.1,
        "position": [0, 0],
        "webhookId": path,
        "parameters": {
            "httpMethod": "POST",
            "path": path,
            "authentication": "headerAuth",
            "responseMode": "onReceived",
            "options": {},
        },
        "credentials": {"httpHeaderAuth": {"id": credential, "name": path}},
    }
    through: Object = {
        "name": "Webhook",
        "type": "n8n-nodes-base.splitOut",
        "typeVersion": 1,
        "position": [200, 0],
        "parameters": {"fieldToSplitOut": "body.items", "options": {}},
    }
    link: Object = {"node": "Webhook", "type": "main", "index": 0}
    return {
        "name": path,
        "nodes": [entry, through],
        "connections": {ENTRY_NAME: {"main": [[link]]}},
        "settings": {},
    }


@pytest.fixture
async def works(upgraded_url: str) -> AsyncIterator[Works]:
    async with desk(upgraded_url) as place:
        yield Works(place)


async def test_a_run_that_succeeds(works: Works) -> None:
    await works.automation()
    works.fake.always(None, Outcome(output=[{"total": 3}]))
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "SUCCESS")

    row = await works.row(id_)
    [execution] = works.fake.state.executions.values()
    assert row["outputData"] == [{"total": 3}]
    assert row["n8nExecutionId"] == execution.id
    assert row["n8nVersionId"] == execution.version_id
    assert [f"{id_}:1"] == works.posted()


async def test_what_a_workflow_answers_is_kept_for_its_caller(works: Works) -> None:
    await works.automation()
    workflow = works.flows["a1"]

    def answers(body: dict[str, Any]) -> None:
        body["nodes"][0]["parameters"]["responseMode"] = "responseNode"

    works.fake.edit(workflow, answers)
    works.fake.workflows.publish(workflow, {})
    works.fake.settle()
    works.fake.script(workflow, Outcome(respond=(201, {"X-Order": "7"}, b"made")))
    first, second = await works.desk.ask(2)

    async with works.working():
        await works.desk.until(first, "SUCCESS")
        await works.desk.until(second, "SUCCESS")

    replies = Replies(works.desk.database)
    kept = [await replies.get(id_) for id_ in (first, second)]
    assert Reply(status=201, headers={"x-order": "7"}, content=b"made") in kept


async def test_a_run_that_fails_is_tried_again(works: Works) -> None:
    await works.automation(max_retries=1)
    works.fake.always(None, Outcome(error="no such customer"))
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "FAILED")

    row = await works.row(id_)
    assert "no such customer" in row["errorMessage"]
    assert row["retryCount"] == 1
    assert [f"{id_}:1", f"{id_}:2"] == works.posted()


async def test_while_n8n_is_away_no_attempt_is_spent(works: Works) -> None:
    await works.automation()
    ids = await works.desk.ask(5)
    away = Fault(trouble=Trouble.REFUSED, times=10_000)
    works.fake.faults.append(away)

    async with works.working() as (_, breaker):
        await eventually(lambda: not breaker.closed)
        await asyncio.sleep(1.0)
        states = [await works.desk.status(id_) for id_ in ids]
        works.fake.faults.clear()
        await works.desk.all_over()

    assert states == ["QUEUED"] * 5
    assert {(row["status"], row["attempt"]) for row in [await works.row(i) for i in ids]} == {
        ("SUCCESS", 1)
    }
    assert sorted(f"{id_}:1" for id_ in ids) == sorted(set(works.posted()))


@pytest.mark.parametrize("trouble", [Trouble.BUSY, Trouble.ERROR, Trouble.HTML])
async def test_an_entry_in_trouble_is_tried_again_later(works: Works, trouble: Trouble) -> None:
    await works.automation()
    works.fake.faults.append(Fault(trouble=trouble, path="/webhook/"))
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "SUCCESS")

    assert (await works.row(id_))["retryCount"] == 1
    assert len(works.fake.state.executions) == 1


async def test_an_answer_that_got_lost_is_no_reason_to_start_again(works: Works) -> None:
    await works.automation()
    works.fake.faults.append(Fault(trouble=Trouble.RESET, path="/webhook/", after=True))
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "SUCCESS")

    assert (await works.row(id_))["retryCount"] == 0
    assert len(works.fake.state.executions) == 1


async def test_a_run_that_takes_too_long_is_stopped(works: Works) -> None:
    await works.automation(timeout_seconds=1, max_retries=0)
    works.fake.always(None, Outcome(seconds=NEVER))
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "TIMEOUT")

    [execution] = works.fake.state.executions.values()
    assert execution.status == "canceled"
    assert (await works.row(id_))["errorMessage"] == "the run took longer than 1 s"


async def test_a_run_that_somebody_cancels_is_stopped(works: Works) -> None:
    await works.automation()
    works.fake.always(None, Outcome(seconds=NEVER))
    [id_] = await works.desk.ask()

    async with works.working():
        await eventually(lambda: len(works.fake.state.executions) == 1)
        await works.desk.executions.cancel(None, id_)
        await works.desk.until(id_, "CANCELLED")

    [execution] = works.fake.state.executions.values()
    assert execution.status == "canceled"


async def test_a_run_that_a_person_stops_in_n8n_is_cancelled(works: Works) -> None:
    await works.automation()
    works.fake.always(None, Outcome(seconds=NEVER))
    [id_] = await works.desk.ask()

    async with works.working():
        await eventually(lambda: len(works.fake.state.executions) == 1)
        works.fake.executions.stop("1")
        await works.desk.until(id_, "CANCELLED")


async def test_a_run_that_n8n_did_not_survive_is_tried_again(works: Works) -> None:
    await works.automation()
    works.fake.script(None, Outcome(seconds=NEVER))
    [id_] = await works.desk.ask()

    async with works.working():
        await eventually(lambda: len(works.fake.state.executions) == 1)
        await asyncio.sleep(0.3)
        works.fake.executions.restart()
        await works.desk.until(id_, "SUCCESS")

    assert (await works.row(id_))["retryCount"] == 1


async def test_a_way_in_that_does_not_exist_is_told_and_not_repeated(works: Works) -> None:
    await works.automation(entry=[])
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "FAILED")

    row = await works.row(id_)
    assert row["retryCount"] == 0
    assert "no trigger that the runtime serves" in row["errorMessage"]
    assert works.posted() == []


@pytest.mark.parametrize("known", [True, False])
async def test_a_run_of_a_dead_worker_is_taken_over_and_not_repeated(
    works: Works, known: bool
) -> None:
    await works.automation()
    works.fake.always(None, Outcome(seconds=2.5, output=[{"done": True}]))
    [id_] = await works.desk.ask()
    async with works.working() as (task, _):
        await eventually(lambda: len(works.fake.state.executions) == 1)
        if known:
            await asyncio.sleep(1.0)
            assert (await works.row(id_))["n8nExecutionId"] == "1"
        await kill([task])

    async with works.working("w2"):
        await works.desk.until(id_, "SUCCESS")

    row = await works.row(id_)
    assert (row["attempt"], row["outputData"]) == (1, [{"done": True}])
    assert len(works.fake.state.executions) == 1


@pytest.mark.parametrize("at_most_once", [True, False])
async def test_a_run_that_nobody_knows_is_repeated_unless_it_must_not_be(
    works: Works, at_most_once: bool
) -> None:
    await works.automation(at_most_once=at_most_once)
    works.fake.always(None, Outcome(seconds=NEVER))
    [id_] = await works.desk.ask()
    async with works.working() as (task, _):
        await eventually(lambda: len(works.fake.state.executions) == 1)
        await kill([task])
    del works.fake.state.executions["1"]
    works.fake.always(None, Outcome())

    async with works.working("w2"):
        status = await works.desk.until(id_, "SUCCESS", "FAILED")

    row = await works.row(id_)
    if at_most_once:
        assert (status, row["attempt"]) == ("FAILED", 1)
        assert "atMostOnce" in row["errorMessage"]
    else:
        assert (status, row["attempt"]) == ("SUCCESS", 2)


async def test_a_dead_workers_run_is_awaited_while_n8n_is_away(works: Works) -> None:
    await works.automation()
    works.fake.always(None, Outcome(seconds=1.0))
    [id_] = await works.desk.ask()
    async with works.working() as (task, _):
        await eventually(lambda: len(works.fake.state.executions) == 1)
        await kill([task])
    works.fake.faults.append(Fault(trouble=Trouble.REFUSED, times=10_000))

    async with works.working("w2"):
        await asyncio.sleep(3.0)
        during = await works.desk.status(id_)
        works.fake.faults.clear()
        await works.desk.until(id_, "SUCCESS")

    assert during == "RUNNING"
    assert (await works.row(id_))["attempt"] == 1
