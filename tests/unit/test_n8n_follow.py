"""Following runs when things go wrong: lost answers, an n8n that is away, large data, strangers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.errors import ReconcilerError
from reconciler.n8n.client import Limits, N8n
from reconciler.n8n.follow import Finished, Follower, Job
from reconciler.n8n.outcome import RunState
from reconciler.n8n.runs import Runs
from reconciler.n8n.sight import Pace
from reconciler.workflow.entry import ENTRY_HEADER, ENTRY_NAME
from tests.doubles import fake_n8n_executions
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_executions import NEVER, Outcome
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fake_n8n_http import FakeTransport
from tests.doubles.fake_n8n_rules import Refused

PACE = Pace(
    young=0.05, slow=0.02, slowest=0.1, away=0.05, sure=0.05, unseen=0.2, unsure=(0.02, 0.05)
)


@dataclass(frozen=True, slots=True)
class Place:
    """A fake n8n with one workflow, and those who follow its runs."""

    fake: FakeN8n
    api: N8n
    runs: Runs
    follower: Follower
    workflow: str

    def job(self, correlation: str = "x:1", **more: Any) -> Job:
        return Job(
            automation_id="a1",
            workflow_id=self.workflow,
            secret="hush",
            correlation=correlation,
            body={"id": correlation, "items": [{"of": correlation}]},
            seconds=more.pop("seconds", 5),
        )

    async def run(self, correlation: str = "x:1", **more: Any) -> Finished:
        async with asyncio.timeout(10):
            return await self.follower.run(self.job(correlation, **more))

    def calls(self, path: str) -> int:
        return sum(call.path.startswith(path) for call in self.fake.calls)

    def started(self) -> int:
        return len(self.fake.state.executions)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    fake = FakeN8n()
    transport = FakeTransport(fake)
    limits = Limits(attempts=1, read=1.0)
    async with N8n("http://n8n", fake.api_key, limits=limits, transport=transport) as api:
        data: Any = {"name": ENTRY_HEADER, "value": "hush"}
        credential = await api.post(
            "/credentials", {"name": "entry", "type": "httpHeaderAuth", "data": data}
        )
        node: Any = {
            "id": "e",
            "name": ENTRY_NAME,
            "type": "n8n-nodes-base.webhook",
            "typeVersion": 2.1,
            "position": [0, 0],
            "parameters": {"httpMethod": "POST", "path": "a1", "authentication": "headerAuth"},
            "credentials": {"httpHeaderAuth": {"id": credential["id"], "name": "entry"}},
        }
        body: Any = {"name": "w", "nodes": [node], "connections": {}, "settings": {}}
        made = await api.post("/workflows", body)
        await api.post(f"/workflows/{made['id']}/publish", {})
        fake.settle()
        runs = Runs(api, transport=transport)
        follower = Follower(runs, PACE)
        yield Place(fake, api, runs, follower, str(made["id"]))
        await follower.aclose()
        await runs.aclose()


async def test_a_lost_answer_is_looked_up_and_nothing_runs_twice(place: Place) -> None:
    place.fake.faults.append(Fault(trouble=Trouble.RESET, path="/webhook/", after=True))
    finished = await place.run()
    assert (finished.run.state, finished.run.output) == (RunState.SUCCESS, [{"of": "x:1"}])
    assert (place.calls("/webhook/"), place.started()) == (1, 1)


@pytest.mark.parametrize("trouble", [Trouble.RESET, Trouble.HANG, Trouble.BAD_GATEWAY])
async def test_a_call_that_n8n_never_saw_is_found_not_to_have_started(
    place: Place, trouble: Trouble
) -> None:
    place.fake.faults.append(Fault(trouble=trouble, path="/webhook/"))
    with pytest.raises(ReconcilerError) as caught:
        await place.run(seconds=0.2)
    assert getattr(caught.value, "retryable", None) is True
    assert getattr(caught.value, "unreachable", None) is True
    assert (place.calls("/webhook/"), place.started()) == (1, 0)


@pytest.mark.parametrize("trouble", [Trouble.HTML, Trouble.ERROR, Trouble.BUSY])
async def test_what_stands_before_n8n_may_answer_for_it(place: Place, trouble: Trouble) -> None:
    place.fake.faults.append(Fault(trouble=trouble, path="/webhook/"))
    with pytest.raises(ReconcilerError) as caught:
        await place.run()
    assert getattr(caught.value, "retryable", None) is True
    assert place.started() == 0
    place.fake.faults.clear()
    place.fake.faults.append(Fault(trouble=trouble, path="/webhook/", after=True))
    finished = await place.run("y:1")
    assert (finished.run.state, place.started()) == (RunState.SUCCESS, 1)


async def test_n8n_being_away_does_not_lose_runs(place: Place) -> None:
    place.fake.script(None, Outcome(seconds=0.2))
    call = asyncio.create_task(place.run())
    await asyncio.sleep(0.1)
    place.fake.faults.append(Fault(trouble=Trouble.REFUSED, path="/api/", times=5))
    while not place.follower.unreachable:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert (await call).run.state is RunState.SUCCESS
    assert not place.follower.unreachable


async def test_n8n_being_away_is_no_news_when_nobody_waits(place: Place) -> None:
    place.fake.script(None, Outcome(seconds=NEVER))
    call = asyncio.create_task(place.run())
    await asyncio.sleep(0.1)
    place.fake.faults.append(Fault(trouble=Trouble.REFUSED, path="/api/", times=1000))
    while not place.follower.unreachable:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait([call])
    assert not place.follower.unreachable


async def test_n8n_being_away_at_the_start_is_said(place: Place) -> None:
    place.fake.faults.append(Fault(trouble=Trouble.REFUSED, times=3))
    with pytest.raises(ReconcilerError) as caught:
        await place.run()
    assert getattr(caught.value, "unreachable", None) is True
    place.fake.faults.clear()
    assert (await place.run("y:1")).run.state is RunState.SUCCESS


async def test_a_restart_of_n8n_ends_what_ran(place: Place) -> None:
    place.fake.script(None, Outcome(seconds=NEVER))
    call = asyncio.create_task(place.run())
    await asyncio.sleep(0.1)
    place.fake.executions.restart()
    run = (await call).run
    assert run.state is RunState.CRASHED
    assert "crashed or was restarted" in (run.error_message or "")


async def test_a_workflow_deleted_during_a_run_takes_the_run_along(place: Place) -> None:
    place.fake.script(None, Outcome(seconds=NEVER))
    call = asyncio.create_task(place.run())
    await asyncio.sleep(0.1)
    place.fake.executions.delete("1")
    run = (await call).run
    assert (run.state, run.id) == (RunState.GONE, "1")


async def test_a_run_that_waits_for_long_is_followed_by_listings_alone(place: Place) -> None:
    place.fake.script(None, *[Outcome(seconds=0.8, waits=True)] * 20)
    calls = [asyncio.create_task(place.run(f"x{n}:1")) for n in range(20)]
    await asyncio.sleep(0.3)
    before = len(place.fake.calls)
    await asyncio.sleep(0.3)
    # Two listings a turn and no look at single runs, however many wait.
    assert len(place.fake.calls) - before <= 2 * 0.3 / PACE.slow + 4
    ended = [(await call).run.state for call in calls]
    assert set(ended) == {RunState.SUCCESS}


async def test_many_quick_runs_need_few_calls(place: Place) -> None:
    await place.run("first:1")
    before = place.calls("/api/v1/executions")
    ended = await asyncio.gather(*(place.run(f"x{n}:1") for n in range(100)))
    assert [one.run.output for one in ended] == [[{"of": f"x{n}:1"}] for n in range(100)]
    assert place.calls("/api/v1/executions") - before <= 10


async def test_n8n_counts_no_old_runs_for_us(place: Place) -> None:
    await place.run("first:1")
    began = place.fake.state.executions["1"].at
    await place.run("second:1")
    listed = [call.query for call in place.fake.calls if call.path == "/api/v1/executions"]
    after = datetime.fromisoformat(listed[-1]["startedAfter"])
    assert timedelta(seconds=50) < datetime.fromisoformat(began) - after < timedelta(seconds=70)


async def test_runs_are_found_after_n8ns_clock_was_set_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.run("first:1")
    monkeypatch.setattr(
        fake_n8n_executions,
        "_iso",
        lambda moment: (moment - timedelta(hours=1)).isoformat().replace("+00:00", "Z"),
    )
    for correlation in ("second:1", "third:1"):
        run = (await place.run(correlation)).run
        assert (run.state, run.output) == (RunState.SUCCESS, [{"of": correlation}])
    assert place.started() == 3


@pytest.fixture(params=["refused", "shifted"])
def unbounded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An n8n that can't be asked by time, or means another one by five hours."""
    meets = fake_n8n_executions._meets

    def answer(execution: Any, query: Mapping[str, str]) -> bool:
        if request.param == "refused" and {"startedAfter", "startedBefore"} & query.keys():
            raise Refused(400, "Unknown query parameter 'startedAfter'")
        asked = dict(query)
        for name in ("startedAfter", "startedBefore"):
            if name in asked:
                moment = datetime.fromisoformat(asked[name]) + timedelta(hours=5)
                asked[name] = moment.isoformat().replace("+00:00", "Z")
        return meets(execution, asked)

    monkeypatch.setattr(fake_n8n_executions, "_meets", answer)


@pytest.mark.usefixtures("unbounded")
async def test_an_n8n_that_can_not_be_asked_by_time_is_followed_as_quickly(place: Place) -> None:
    for number in range(5):
        begun = time.monotonic()
        assert (await place.run(f"x{number}:1")).run.state is RunState.SUCCESS
        assert place.follower.unreachable is False
        assert time.monotonic() - begun < PACE.unseen / 4 + 1
    asked = [call.query for call in place.fake.calls if call.path == "/api/v1/executions"]
    assert sum("startedAfter" in query for query in asked) == 1  # whether it can be asked so


@pytest.mark.usefixtures("unbounded")
async def test_a_run_is_found_in_an_n8n_that_can_not_be_asked_by_time(place: Place) -> None:
    since = datetime.now(UTC)
    await place.run()
    for number in range(120):
        place.fake.run_natively(place.workflow, number=number)
    found = await place.runs.find(place.workflow, "x:1", since)
    assert found is not None
    assert (found.id, found.output) == ("1", [{"of": "x:1"}])
    assert await place.runs.find(place.workflow, "z:1", since) is None
    newest = [int(str(row["id"])) async for row in place.runs.since(since)]
    assert newest[:2] == [121, 120]


async def test_old_runs_are_not_read_in_an_n8n_that_can_not_be_asked_by_time(
    place: Place, unbounded: None
) -> None:
    for number in range(300):
        place.fake.run_natively(place.workflow, number=number)
    before = place.calls("/api/v1/executions")
    later = datetime.now(UTC) + timedelta(hours=3)
    assert await place.runs.find(place.workflow, "z:1", later) is None
    assert place.calls("/api/v1/executions") - before <= 7


async def test_large_data_is_read_run_by_run(place: Place) -> None:
    large = [{"text": "x" * 90_000} for _ in range(5)]
    for number in range(12):
        place.fake.script(None, Outcome(output=large))
        run = (await place.run(f"x{number}:1")).run
        assert run.truncated
        assert run.output == large[:2]
    listed = [call for call in place.fake.calls if call.path == "/api/v1/executions"]
    assert listed[-1].query.get("includeData") is None


async def test_runs_of_others_do_not_hide_ours(place: Place) -> None:
    for number in range(300):
        place.fake.run_natively(place.workflow, number=number)
    place.fake.script(None, Outcome(seconds=0.3))
    call = asyncio.create_task(place.run())
    await asyncio.sleep(0.05)
    for number in range(300):
        place.fake.run_natively(place.workflow, number=number)
    run = (await call).run
    assert (run.id, run.output) == ("301", [{"of": "x:1"}])


async def test_a_run_repeated_by_hand_in_the_editor_is_not_taken_for_ours(place: Place) -> None:
    correlation = "x:1"
    version = place.fake.state.workflows[place.workflow].version_id
    item: Any = {"body": {"id": correlation}}
    workflow = place.fake.state.workflows[place.workflow]
    call = asyncio.create_task(place.run(correlation))
    place.fake.script(None, Outcome(seconds=0.2))
    await asyncio.sleep(0.05)
    place.fake.executions.begin(workflow, version, "retry", ENTRY_NAME, item)
    assert (await call).run.id == "1"


async def test_the_end_of_a_run_without_an_answer_is_not_waited_for_in_vain(place: Place) -> None:
    place.fake.faults.append(Fault(trouble=Trouble.HANG, path="/webhook/", after=True))
    finished = await place.run(seconds=0.3)
    assert finished.run.state is RunState.SUCCESS


async def test_being_cancelled_leaves_the_run_alone(place: Place) -> None:
    place.fake.script(None, Outcome(seconds=NEVER))
    call = asyncio.create_task(place.run())
    await asyncio.sleep(0.15)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert place.fake.state.executions["1"].status == "running"


async def test_nobody_asks_while_nothing_runs(place: Place) -> None:
    await place.run()
    before = len(place.fake.calls)
    await asyncio.sleep(0.3)
    assert len(place.fake.calls) == before


async def test_a_mistake_of_ours_is_not_silence(place: Place) -> None:
    await place.run()
    place.fake.script(None, Outcome(seconds=NEVER))
    call = asyncio.create_task(place.run("y:1"))
    await asyncio.sleep(0.1)
    place.runs.listed = None  # type: ignore[method-assign, assignment]  # what can't happen
    with pytest.raises(TypeError):
        await call


@pytest.mark.parametrize("ahead", [None, 0.0, -300.0, 300.0])
async def test_a_run_is_found_whatever_a_clock_says(place: Place, ahead: float | None) -> None:
    since = datetime.now(UTC)
    await place.run()
    for number in range(120):
        place.fake.run_natively(place.workflow, number=number)
    place.api.ahead = ahead
    found = await place.runs.find(place.workflow, "x:1", since)
    assert found is not None
    assert (found.id, found.output) == ("1", [{"of": "x:1"}])
    assert await place.runs.find(place.workflow, "z:1", since) is None


async def test_a_run_that_n8n_answers_with_an_error_about_does_not_hide_the_others(
    place: Place,
) -> None:
    for number in (1, 2):
        await place.run(f"x{number}:1")
    place.fake.faults.append(Fault(trouble=Trouble.ERROR, path="/executions/1", times=1000))

    assert ["2"] == list(await place.runs.look(["1", "2"]))
    with pytest.raises(ReconcilerError):
        await place.runs.look(["1"])
