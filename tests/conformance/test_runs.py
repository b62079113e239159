"""Starting runs through a managed entry, following them, finding them again, stopping them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.n8n.entry import NotStarted, Started, StartUnknown
from reconciler.n8n.follow import Follower
from reconciler.n8n.outcome import Run, RunState
from reconciler.n8n.sight import Pace
from reconciler.resource.payload import Object
from reconciler.workflow.entry import ENTRY_HEADER
from tests.conformance.conftest import Bench
from tests.conformance.runs_rig import AN_HOUR, OWN_WORDS, SECRET, Place, following, name


@pytest.fixture
async def place(n8n: Bench) -> AsyncIterator[Place]:
    """Runs on the target, with the credential of their entries."""
    data: Object = {"name": ENTRY_HEADER, "value": SECRET}
    body: Object = {"name": str(uuid.uuid4()), "type": "httpHeaderAuth", "data": data}
    credential = await n8n.api.post("/credentials", body)
    async with following(n8n) as (runs, follower):
        yield Place(n8n, runs, follower, credential)
    await n8n.api.delete(f"/credentials/{credential['id']}")


async def test_a_run_gives_its_items_its_id_and_its_version(place: Place) -> None:
    flow, known = await place.flow("quick"), list[str]()
    finished = await place.follower.run(flow.job(name(), {"n": 1}, {"n": 2}), known.append)
    run = finished.run
    assert run.state is RunState.SUCCESS
    assert run.output == [{"n": 1}, {"n": 2}]
    assert (run.version_id, run.workflow_id) == (flow.version_id, flow.id)
    assert known == [run.id]
    assert finished.answer is None
    assert run.started_at is not None
    assert run.stopped_at is not None
    assert run.started_at <= run.stopped_at


async def test_a_failed_run_names_message_node_and_stack(place: Place) -> None:
    flow = await place.flow("failing")
    run = (await place.follower.run(flow.job(name()))).run
    assert run.state is RunState.ERROR
    assert (run.error_message, run.error_node) == ("no such customer", "Done")
    assert "ExecuteContext.execute" in (run.error_stack or "")
    assert run.output is None


async def test_the_id_of_a_slow_run_is_known_before_it_ends(place: Place) -> None:
    flow = await place.flow("slow")
    known: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    call = asyncio.create_task(place.follower.run(flow.job(name()), known.set_result))
    id_ = await asyncio.wait_for(known, 10)
    assert not call.done()
    run = (await call).run
    assert (run.id, run.state, run.output) == (id_, RunState.SUCCESS, [{"n": 1}])


async def test_many_runs_at_once_are_told_apart(place: Place) -> None:
    kinds = ("quick", "failing", "slow")
    flows = {kind: await place.flow(kind) for kind in kinds}

    async def one(number: int) -> tuple[str, Run]:
        kind = kinds[number % 3]
        job = flows[kind].job(name(), {"n": number})
        return kind, (await place.follower.run(job)).run

    ended = await asyncio.gather(*(one(number) for number in range(30)))
    assert len({run.id for _, run in ended}) == 30
    for number, (kind, run) in enumerate(ended):
        assert run.workflow_id == flows[kind].id
        wanted = None if kind == "failing" else [{"n": number}]
        assert run.output == wanted


async def test_two_processes_do_not_take_each_others_runs(place: Place, n8n: Bench) -> None:
    flow = await place.flow("quick")
    async with following(n8n) as (_, other):
        jobs = [flow.job(name(), {"n": number}) for number in range(12)]
        sides = (place.follower, other)
        calls = [sides[at % 2].run(job) for at, job in enumerate(jobs)]
        ended = [finished.run for finished in await asyncio.gather(*calls)]
    assert [run.output for run in ended] == [[{"n": number}] for number in range(12)]
    assert [run.correlation for run in ended] == [job.correlation for job in jobs]


async def test_an_answer_of_the_workflow_is_passed_on(place: Place) -> None:
    flow = await place.flow("answering")
    finished = await place.follower.run(flow.job(name()))
    assert finished.run.state is RunState.SUCCESS
    assert finished.answer is not None
    assert (finished.answer.status, finished.answer.content) == (201, b"made")


async def test_a_run_is_found_by_its_correlation_id(place: Place) -> None:
    flow, correlation = await place.flow("quick"), name()
    since = datetime.now(UTC)
    run = (await place.follower.run(flow.job(correlation))).run
    found = await place.runs.find(flow.id, correlation, since)
    assert found is not None
    assert (found.id, found.output) == (run.id, run.output)
    assert await place.runs.find(flow.id, name(), since) is None


async def test_a_run_of_another_process_is_adopted(place: Place, n8n: Bench) -> None:
    flow, correlation = await place.flow("slow"), name()
    since = datetime.now(UTC)
    async with following(n8n) as (_, other):
        call = asyncio.create_task(other.run(flow.job(correlation)))
        await asyncio.sleep(0.3)
        call.cancel()  # that process is gone, its run goes on
    known: list[str] = []
    finished = await place.follower.adopt(
        workflow_id=flow.id,
        correlation=correlation,
        execution_id=None,
        since=since,
        known=known.append,
    )
    assert finished is not None
    assert (finished.run.state, known) == (RunState.SUCCESS, [finished.run.id])
    again = await place.follower.adopt(
        workflow_id=flow.id, correlation=correlation, execution_id=finished.run.id, since=since
    )
    assert again is not None
    assert again.run.output == [{"n": 1}]


async def test_a_run_that_never_was_is_not_adopted(place: Place) -> None:
    flow, since = await place.flow("quick"), datetime.now(UTC)
    for id_ in (None, "99999999"):
        adopted = await place.follower.adopt(
            workflow_id=flow.id, correlation=name(), execution_id=id_, since=since
        )
        assert adopted is None


async def test_n8n_has_no_run_with_an_id_that_is_no_number(place: Place) -> None:
    assert await place.runs.get("order-77") is None
    assert not await place.runs.stop("order-77")


@pytest.mark.parametrize("kind", ["slow", "waiting"])
async def test_a_run_can_be_stopped(place: Place, kind: str) -> None:
    flow, correlation = await place.flow(kind), name()
    since = datetime.now(UTC)
    call = asyncio.create_task(place.follower.run(flow.job(correlation)))
    await asyncio.sleep(0.5)
    assert await place.follower.stop(workflow_id=flow.id, correlation=correlation, since=since)
    run = (await asyncio.wait_for(call, 15)).run
    assert run.state is RunState.CANCELED
    assert await place.runs.stop(run.id) is True
    assert await place.runs.stop("99999999") is False


async def test_a_wrong_secret_starts_nothing(place: Place) -> None:
    flow = await place.flow("quick")
    with pytest.raises(NotStarted, match="entry's secret") as caught:
        await place.follower.run(flow.job(name(), secret="guessed"))
    assert (caught.value.retryable, caught.value.unreachable) == (False, False)


@pytest.mark.parametrize("status", OWN_WORDS)
async def test_words_of_n8n_in_the_mouth_of_a_workflow_are_looked_up(
    place: Place, status: int
) -> None:
    await place.follower.run((await place.flow("quick")).job(name()))  # n8n's own are believed now
    flow = await place.flow(f"imitating {status}")
    finished = await place.follower.run(flow.job(name()))
    assert finished.run.state is RunState.SUCCESS
    assert finished.answer is not None
    assert finished.answer.status == status
    assert finished.answer.content.decode() == OWN_WORDS[status]


async def test_what_n8n_says_itself_is_certain(place: Place) -> None:
    flow = await place.flow("quick")
    await place.follower.run(flow.job(name()))
    body = flow.job(name()).body
    for path, secret in ((flow.path, "guessed"), ("nowhere", SECRET)):
        with pytest.raises(NotStarted):
            await place.runs.start(path, secret, body, seconds=10)


async def test_an_unpublished_workflow_starts_nothing(place: Place) -> None:
    flow = await place.flow("quick")
    await place.bench.api.post(f"/workflows/{flow.id}/unpublish")
    await place.bench.until_gone(flow.path)
    with pytest.raises(NotStarted, match="not published, or was deleted") as caught:
        await place.follower.run(flow.job(name()))
    assert (caught.value.retryable, caught.value.unreachable) == (True, False)


async def test_a_workflow_that_saves_nothing_leaves_no_trace(place: Place) -> None:
    flow = await place.flow("quick", saveDataSuccessExecution="none")
    follower = Follower(place.runs, Pace(sure=1.0))
    try:
        run = (await asyncio.wait_for(follower.run(flow.job(name())), 15)).run
    finally:
        await follower.aclose()
    assert run.state is RunState.GONE
    assert "does not save its runs" in (run.error_message or "")


async def test_a_listing_leaves_out_what_is_running(place: Place) -> None:
    flow = await place.flow("slow")
    call = asyncio.create_task(place.follower.run(flow.job(name())))
    await asyncio.sleep(0.4)

    async def ids(**query: Any) -> list[str]:
        return [str(row["id"]) async for row in place.runs.listed(workflowId=flow.id, **query)]

    running = await ids(status="running")
    assert (len(running), await ids()) == (1, [])
    run = (await call).run
    assert (await ids(status="running"), await ids()) == ([], running)
    assert running == [run.id]


async def test_a_listing_pages_down_to_where_it_is_asked_to(place: Place) -> None:
    flow = await place.flow("quick")
    before = await place.runs.newest()
    made = [(await place.follower.run(flow.job(name()))).run.id for _ in range(5)]
    rows = [str(row["id"]) async for row in place.runs.listed(after=before, limit=2)]
    assert [id_ for id_ in rows if id_ in made] == made[::-1]
    rows = [str(row["id"]) async for row in place.runs.listed(after=int(made[2]), limit=2)]
    assert set(made[3:]) <= set(rows)
    assert not set(made[:3]) & set(rows)


async def test_start_alone_does_not_tell_the_id(place: Place) -> None:
    flow, job = await place.flow("quick"), None
    job = flow.job(name())
    started = await place.runs.start(flow.path, SECRET, job.body, seconds=10)
    assert started == Started()
    answering = await place.flow("answering")
    with pytest.raises(StartUnknown) as caught:
        await place.runs.start(answering.path, SECRET, job.body, seconds=10)
    assert caught.value.answer is not None
    assert caught.value.answer.status == 201


async def test_the_entry_secret_is_not_in_what_is_recorded(place: Place) -> None:
    flow, correlation = await place.flow("quick"), name()
    since = datetime.now(UTC) - AN_HOUR
    await place.follower.run(flow.job(correlation))
    run = await place.runs.find(flow.id, correlation, since)
    assert SECRET not in repr(run)


async def test_n8n_tells_its_time(place: Place) -> None:
    assert place.bench.api.ahead is not None
    assert abs(place.bench.api.ahead) < 5


async def test_a_run_with_deep_output_hides_no_other(place: Place) -> None:
    deep, quick = await place.flow("deep"), await place.flow("quick")
    async with asyncio.timeout(30):
        found = await asyncio.gather(
            place.follower.run(deep.job(name())),
            *(place.follower.run(quick.job(name())) for _ in range(3)),
        )

    assert {RunState.SUCCESS} == {one.run.state for one in found}
    assert [True, False, False, False] == [one.run.truncated for one in found]
    assert "nested too deeply" in str(found[0].run.output)
