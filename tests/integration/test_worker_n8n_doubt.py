"""What a worker does where n8n leaves it in doubt: unreadable, forgotten, cancelled, ids anew."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from reconciler.runtime import run
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_executions import NEVER, Outcome
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fake_n8n_http import FakeTransport
from tests.integration.test_worker_n8n import Works
from tests.worker_rig import desk

NOT_REPEATED = "it is not repeated (atMostOnce)"


class Deep(FakeTransport):
    """Answers with data that is nested too deeply for Python wherever DEEP stands."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        deep = b"[" * 3000 + b"]" * 3000
        content = (await answer.aread()).replace(b'"DEEP"', deep)
        return httpx.Response(answer.status_code, content=content)


@pytest.fixture
async def works(upgraded_url: str) -> AsyncIterator[Works]:
    async with desk(upgraded_url) as place:
        yield Works(place)


def lose(fake: FakeN8n) -> None:
    """Forget all runs, as an n8n that crashed before it saved them."""
    fake.state.executions.clear()


async def test_deep_output_is_cut_and_hides_no_other_run(works: Works) -> None:
    works.carrier = Deep
    await works.automation("deep")
    await works.automation("good")
    works.fake.always(works.flows["deep"], Outcome(output=[{"x": "DEEP"}]))
    [deep] = await works.desk.ask(automation="deep")
    good = await works.desk.ask(5, automation="good")

    async with works.working() as (_, breaker):
        await works.desk.all_over()
        assert breaker.closed

    assert {"SUCCESS"} == {await works.desk.status(id_) for id_ in (deep, *good)}
    assert {1} == set(Counter(works.posted()).values())
    row = await works.row(deep)
    assert row["outputTruncated"]
    assert "nested too deeply" in str(row["outputData"])


@pytest.mark.parametrize("cancel", [False, True], ids=["timeout", "cancelled"])
async def test_a_run_of_which_n8n_never_tells_ends_all_the_same(
    works: Works, cancel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_GIVE_UP", 2)
    monkeypatch.setattr(run, "_ASK_AGAIN", 0.05)
    await works.automation(timeout_seconds=600 if cancel else 1, max_retries=0)
    await works.automation("good")
    works.fake.always(works.flows["a1"], Outcome(seconds=NEVER))
    works.fake.faults.append(Fault(trouble=Trouble.ERROR, path="/executions/1", times=100_000))
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "RUNNING")
        await asyncio.sleep(0.5)
        [other] = await works.desk.ask(automation="good")
        await works.desk.until(other, "SUCCESS")
        if cancel:
            await works.desk.executions.cancel(None, id_)
        await works.desk.until(id_, "CANCELLED" if cancel else "TIMEOUT")


@pytest.mark.parametrize("cancel", [False, True], ids=["lost", "cancelled"])
async def test_a_run_that_was_adopted_and_of_which_n8n_never_tells_ends_too(
    works: Works, cancel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_GIVE_UP", 2)
    monkeypatch.setattr(run, "_ASK_AGAIN", 0.05)
    await works.automation(at_most_once=True)
    works.fake.faults.append(Fault(trouble=Trouble.ERROR, path="/executions/7", times=100_000))
    id_ = await adopted(works, cancel=cancel, n8n_execution_id="7")

    async with works.working():
        await works.desk.until(id_, "CANCELLED" if cancel else "FAILED")

    if not cancel:
        message = (await works.row(id_))["errorMessage"]
        assert "n8n does not tell of the run" in message
        assert NOT_REPEATED in message


async def adopted(works: Works, *, cancel: bool, n8n_execution_id: str | None) -> str:
    """Leave a run whose worker is gone; give its id."""
    [id_] = await works.desk.ask()
    await works.desk.executions.claim("dead", 1, lease=0.1)
    if n8n_execution_id is not None:
        await works.desk.executions.note_started("dead", [(id_, 1, n8n_execution_id)])
    if cancel:
        await works.desk.executions.cancel(None, id_)
    await asyncio.sleep(0.3)
    return id_


@pytest.mark.parametrize("known", [None, "999"])
async def test_a_run_that_was_cancelled_as_its_worker_died_is_cancelled(
    works: Works, known: str | None
) -> None:
    await works.automation()
    id_ = await adopted(works, cancel=True, n8n_execution_id=known)

    async with works.working():
        await works.desk.until(id_, "CANCELLED")

    counts = 'SELECT "executionCount", "failureCount" FROM automations'
    assert [(0, 0)] == await works.desk.rows(counts)
    assert [] == works.posted()


@pytest.mark.parametrize("once", [False, True], ids=["repeatable", "atMostOnce"])
async def test_at_most_once_holds_where_n8n_took_the_call_and_lost_the_run(
    works: Works, once: bool
) -> None:
    await works.automation(at_most_once=once)
    broken = Fault(trouble=Trouble.RESET, path="/webhook/", after=True, times=1)
    works.fake.faults.extend([broken, Fault(act=lose, path="/executions", nth=3)])
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "FAILED" if once else "SUCCESS")

    assert (1 if once else 2) == len(works.posted())
    if once:
        assert NOT_REPEATED in (await works.row(id_))["errorMessage"]


@pytest.mark.parametrize("lost", [False, True], ids=["stopped", "lost"])
async def test_at_most_once_repeats_a_run_that_was_stopped_but_not_one_that_was_lost(
    works: Works, lost: bool
) -> None:
    await works.automation(at_most_once=True, timeout_seconds=1, max_retries=1)
    works.fake.always(None, Outcome(seconds=NEVER))
    if lost:
        works.fake.faults.append(Fault(trouble=Trouble.HANG, path="/webhook/", after=True, times=1))
        works.fake.faults.append(Fault(act=lose, path="/executions", nth=3))
    [id_] = await works.desk.ask()

    async with works.working():
        await works.desk.until(id_, "TIMEOUT", seconds=30)

    assert (1 if lost else 2) == len(works.posted())
    assert lost is (NOT_REPEATED in (await works.row(id_))["errorMessage"])


@pytest.mark.parametrize("after", ["31536000", "9" * 400])
async def test_an_n8n_that_asks_for_a_year_is_asked_again_within_the_hour(
    works: Works, after: str
) -> None:
    await works.automation()
    works.fake.faults.append(Fault(trouble=Trouble.REFUSED, path="/webhook/", times=1))
    works.fake.faults.append(
        Fault(trouble=Trouble.BUSY, path="/webhook/", times=1, retry_after=after)
    )
    await works.desk.ask()
    waits = """SELECT extract(epoch FROM "runAt" - (now() AT TIME ZONE 'UTC'))
        FROM workflow_executions WHERE status = 'QUEUED'"""

    async with works.working():
        async with asyncio.timeout(15):
            while not (rows := await works.desk.rows(waits)) or rows[0][0] < 100:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        [(wait,)] = rows
        assert wait <= 3600


async def test_runs_are_found_after_n8n_began_to_count_anew(works: Works) -> None:
    def restore(fake: FakeN8n) -> None:
        fake.state.executions.clear()
        fake.state.executed = 100

    await works.automation()
    works.fake.state.executed = 5000
    [first] = await works.desk.ask()
    async with works.working():
        await works.desk.until(first, "SUCCESS")
        restore(works.fake)
        found: list[Any] = []
        for _ in range(3):
            [id_] = await works.desk.ask()
            await works.desk.until(id_, "SUCCESS", "FAILED")
            row = await works.row(id_)
            found.append((row["status"], row["n8nExecutionId"]))

    assert [("SUCCESS", "101"), ("SUCCESS", "102"), ("SUCCESS", "103")] == found
    assert 4 == len(works.posted())
