"""The worker against a real PostgreSQL, with a runner that does as it is told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from reconciler.runtime.hold import Hold
from reconciler.runtime.outcome import again, ended, untried
from reconciler.runtime.worker import Worker
from reconciler.trigger.execution import Ended, Status
from tests.worker_rig import QUICK, Desk, Scripted, desk, eventually, kill, now, working


@pytest.fixture
async def db(upgraded_url: str) -> AsyncIterator[Desk]:
    async with desk(upgraded_url) as found:
        yield found


async def forever(hold: Hold) -> Ended:
    hold.started = True
    await asyncio.Event().wait()
    raise AssertionError


async def test_what_is_asked_for_runs_and_is_counted(db: Desk) -> None:
    await db.automation(max_concurrency=20)
    ids = await db.ask(50)
    runner = Scripted()

    async with working(db, runner):
        await db.all_over()

    assert sorted(ids) == sorted(one.id for one in runner.seen)
    assert await db.rows(
        'SELECT "executionCount", "successCount", running FROM automations AS a '
        "JOIN reconciler.automation_runtime AS r ON r.automation_id = a.id"
    ) == [(50, 50, 0)]


async def test_neither_the_workers_nor_the_automations_limit_is_exceeded(db: Desk) -> None:
    await db.automation("wide", max_concurrency=50)
    await db.automation("narrow", max_concurrency=2)
    running: dict[str, int] = {"wide": 0, "narrow": 0}
    most: dict[str, int] = {"wide": 0, "narrow": 0}

    async def script(hold: Hold) -> Ended:
        where = hold.claimed.automation_id
        running[where] += 1
        most[where] = max(most[where], running[where])
        await asyncio.sleep(0.01)
        running[where] -= 1
        return ended(hold, now(), Status.SUCCESS)

    await db.ask(60, "wide")
    await db.ask(20, "narrow")
    runner = Scripted(script)
    async with working(db, runner, pace=replace(QUICK, concurrency=7)):
        await db.all_over()

    assert most["narrow"] == 2
    assert runner.most <= 7
    assert len(runner.seen) == 80


async def test_a_failure_is_tried_again_after_two_four_and_eight_seconds(db: Desk) -> None:
    await db.automation()
    [id_] = await db.ask()
    times: list[float] = []

    async def script(hold: Hold) -> Ended:
        times.append(now())
        return again(hold, ended(hold, now(), Status.FAILED, "no"))

    async with working(db, Scripted(script), pace=replace(QUICK, poll=1.0)):
        assert await db.until(id_, "FAILED") == "FAILED"

    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert [round(gap) for gap in gaps] == [2, 4, 8]
    assert all(abs(gap - wanted) < 0.15 for gap, wanted in zip(gaps, (2, 4, 8), strict=True)), gaps
    assert await db.rows('SELECT "retryCount", attempt FROM workflow_executions') == [(3, 4)]


async def test_what_never_ran_goes_back_without_spending_an_attempt(db: Desk) -> None:
    await db.automation()
    [id_] = await db.ask()
    seen: list[int] = []

    async def script(hold: Hold) -> Ended:
        seen.append(hold.claimed.attempt)
        if len(seen) < 6:
            return untried(hold, now(), "n8n is away")
        return ended(hold, now(), Status.SUCCESS)

    async with working(db, Scripted(script)):
        await db.until(id_, "SUCCESS")

    assert seen == [1] * 6
    assert await db.rows('SELECT "retryCount", attempt FROM workflow_executions') == [(0, 1)]


async def test_a_cancelled_run_hears_of_it(db: Desk) -> None:
    await db.automation()
    [id_] = await db.ask()

    async def script(hold: Hold) -> Ended:
        await hold.cancelled.wait()
        return ended(hold, now(), Status.CANCELLED, "cancelled")

    async with working(db, Scripted(script)):
        await db.until(id_, "RUNNING")
        await db.executions.cancel(None, id_)
        await db.until(id_, "CANCELLED")


async def test_a_crash_of_the_runner_is_a_failed_attempt_and_not_the_workers_end(db: Desk) -> None:
    await db.automation(max_retries=0)
    [id_] = await db.ask()

    async def script(hold: Hold) -> Ended:
        raise LookupError(hold.claimed.id)

    async with working(db, runner := Scripted(script)):
        await db.until(id_, "FAILED")
        runner.script = Scripted().script
        [other] = await db.ask()
        await db.until(other, "SUCCESS")

    message = await db.value(
        'SELECT "errorMessage" FROM workflow_executions WHERE id = %(id)s', id=id_
    )
    assert message == "reconciler failed to run it: LookupError"


async def test_an_output_that_cannot_be_stored_does_not_hold_up_the_others(db: Desk) -> None:
    await db.automation(max_concurrency=10)
    ids = await db.ask(8)

    async def script(hold: Hold) -> Ended:
        text = "a\0b" if hold.claimed.id == ids[3] else "fine"
        return replace(ended(hold, now(), Status.SUCCESS), output=[{"text": text}])

    async with working(db, Scripted(script)):
        await db.all_over()

    assert await db.value("SELECT count(*) FROM workflow_executions WHERE status = 'SUCCESS'") == 8


async def test_a_worker_that_is_told_to_stop_finishes_what_runs(db: Desk) -> None:
    await db.automation(max_concurrency=5)
    ids = await db.ask(7)
    go_on = asyncio.Event()

    async def script(hold: Hold) -> Ended:
        await go_on.wait()
        return ended(hold, now(), Status.SUCCESS)

    async with working(db, runner := Scripted(script)) as stopping:
        await eventually(lambda: len(runner.seen) == 5)
        stopping.set()
        await asyncio.sleep(0.1)
        go_on.set()

    states = sorted([await db.status(id_) for id_ in ids])
    assert states == ["QUEUED"] * 2 + ["SUCCESS"] * 5


async def test_after_the_grace_runs_are_handed_to_others_at_once(db: Desk) -> None:
    await db.automation(max_concurrency=5)
    ids = await db.ask(4)
    first = Scripted(forever)
    async with working(db, first, pace=replace(QUICK, grace=0.1, lease=60.0)) as stopping:
        await eventually(lambda: len(first.seen) == 4)
        stopping.set()

    second = Scripted()
    async with working(db, second, name="w2"):
        await db.all_over(seconds=3)

    assert all(one.adopted and one.attempt == 1 for one in second.seen)
    assert sorted(ids) == sorted(one.id for one in second.seen)


async def test_what_was_not_started_at_the_end_waits_again(db: Desk) -> None:
    await db.automation(max_concurrency=5)
    await db.ask()

    async def script(hold: Hold) -> Ended:
        await asyncio.Event().wait()
        raise AssertionError

    runner = Scripted(script)
    async with working(db, runner, pace=replace(QUICK, grace=0.1)) as stopping:
        await eventually(lambda: len(runner.seen) == 1)
        stopping.set()

    assert await db.rows("SELECT status::text, attempt FROM workflow_executions") == [("QUEUED", 0)]


async def test_the_runs_of_a_dead_worker_are_taken_over(db: Desk) -> None:
    await db.automation(max_concurrency=5)
    ids = await db.ask(3)
    dead = Worker("w1", db.executions, runner := Scripted(forever), pace=QUICK)
    task = asyncio.create_task(dead.run(asyncio.Event()))
    await eventually(lambda: len(runner.seen) == 3)
    await kill([task])

    second = Scripted()
    async with working(db, second, name="w2"):
        await db.all_over()

    assert sorted(ids) == sorted(one.id for one in second.seen)
    assert all(one.adopted and one.elapsed_seconds > 1 for one in second.seen)


async def test_a_worker_that_starts_again_takes_its_own_runs_over_at_once(db: Desk) -> None:
    await db.automation(max_concurrency=5)
    await db.ask(3)
    pace = replace(QUICK, lease=60.0)
    worker = Worker("w1", db.executions, runner := Scripted(forever), pace=pace)
    task = asyncio.create_task(worker.run(asyncio.Event()))
    await eventually(lambda: len(runner.seen) == 3)
    await kill([task])

    async with working(db, second := Scripted(), pace=pace):
        await db.all_over(seconds=5)

    assert [one.adopted for one in second.seen] == [True] * 3


async def test_a_run_that_another_worker_owns_is_dropped(db: Desk) -> None:
    await db.automation()
    [id_] = await db.ask()
    ended_here: list[str] = []

    async def script(hold: Hold) -> Ended:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended_here.append(hold.claimed.id)
            raise
        raise AssertionError

    async with working(db, Scripted(script)):
        await db.until(id_, "RUNNING")
        await db.rows("UPDATE workflow_executions SET \"leaseOwner\" = 'somebody else'")
        await eventually(lambda: ended_here == [id_])

    assert await db.value('SELECT "leaseOwner" FROM workflow_executions') == "somebody else"


async def test_nothing_may_begin_without_a_fresh_lease(db: Desk) -> None:
    await db.automation()
    [id_] = await db.ask()
    steps: list[str] = []

    async def script(hold: Hold) -> Ended:
        hold.until = now() - 5.0  # as after having been frozen
        await hold.confirm()
        steps.append(await db.value('SELECT "leaseOwner" FROM workflow_executions'))
        return ended(hold, now(), Status.SUCCESS)

    async with working(db, Scripted(script)):
        await db.until(id_, "SUCCESS")

    assert steps == ["w1"]


async def test_a_row_that_is_ours_without_our_knowing_is_taken_over(db: Desk) -> None:
    """A claim may be committed and its answer lost."""
    await db.automation()

    async with working(db, runner := Scripted(), pace=replace(QUICK, lease=60.0, poll=30.0)):
        await asyncio.sleep(0.5)  # it has looked, and sleeps now
        [id_] = await db.ask()
        taken = await db.executions.claim("w1", 1, lease=60.0)
        await db.until(id_, "SUCCESS", seconds=5)

    assert [id_] == [one.id for one in taken]
    assert [(id_, True)] == [(one.id, one.adopted) for one in runner.seen]
