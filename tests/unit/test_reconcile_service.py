"""When turns are taken, and on what: news, timers, faults, other daemons, the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.clock import SystemClock
from reconciler.diagnostics import Diagnostic, Severity, SpecError
from reconciler.errors import LockHeld, N8nUnauthorized, N8nUnreachable, RevisionGone
from reconciler.runtime import reconcile
from reconciler.runtime.reconcile import Order, Pace, Reconciler, Turned
from tests.doubles.followed import AWAY, MemorySpecs, MemoryTurns, sighting

SELDOM = Pace(poll=30, drift=60)
OFTEN = Pace(poll=0.02, drift=0.05)
WRONG = SpecError([Diagnostic(Severity.ERROR, "CRE101", "a secret is missing")])


@asynccontextmanager
async def working(
    specs: MemorySpecs, turns: MemoryTurns, pace: Pace = SELDOM
) -> AsyncIterator[asyncio.Event]:
    """Run the service; it must end when it is told to."""
    stopping = asyncio.Event()
    service = Reconciler(specs, turns, SystemClock(), pace)
    task = asyncio.create_task(service.run(stopping))
    try:
        yield stopping
    finally:
        stopping.set()
        async with asyncio.timeout(5):
            await task


async def until(check: Callable[[], object]) -> None:
    """Wait until *check* gives something true."""
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110 - a test
            await asyncio.sleep(0.005)


async def test_the_first_turn_is_taken_at_once_and_news_are_applied_when_they_come() -> None:
    specs, turns = MemorySpecs(sighting("one")), MemoryTurns()
    async with working(specs, turns):
        await until(lambda: turns.orders == ["one"])
        specs.put(sighting("two"))
        await until(lambda: turns.orders == ["one", "two"])

    assert [True, True] == turns.urgent


async def test_without_news_turns_are_taken_by_the_timer_and_are_not_urgent() -> None:
    specs, turns = MemorySpecs(sighting("one")), MemoryTurns()
    async with working(specs, turns, OFTEN):
        await until(lambda: len(turns.orders) >= 3)

    assert [True, False, False] == turns.urgent[:3]


@pytest.mark.parametrize(
    "bad",
    [
        sighting("two", valid=False),
        sighting("two", empty=True),
        AWAY,
        RevisionGone("the repository has no branch main"),
    ],
    ids=["invalid", "empty", "away", "gone"],
)
async def test_what_is_not_valid_leaves_the_last_good_one_in_force(bad: object) -> None:
    specs, turns = MemorySpecs(sighting("one")), MemoryTurns()
    async with working(specs, turns, OFTEN):
        await until(lambda: turns.orders)
        specs.put(bad)  # type: ignore[arg-type]
        await until(lambda: len(turns.seen) == 2)
        count = len(turns.orders)
        await until(lambda: len(turns.orders) > count + 2)

    assert {"one"} == set(turns.orders)
    assert turns.seen[-1][1]


async def test_without_any_good_revision_only_drift_is_healed() -> None:
    specs, turns = MemorySpecs(sighting("one", valid=False)), MemoryTurns()
    async with working(specs, turns):
        await until(lambda: turns.orders == [None])


async def test_after_a_start_without_git_the_last_good_one_is_read_again() -> None:
    specs, turns = MemorySpecs(AWAY), MemoryTurns(known_good="one")
    specs.history["one"] = sighting("one")
    async with working(specs, turns):
        await until(lambda: turns.orders == ["one"])


async def test_a_newer_revision_cancels_a_turn_that_works_on_an_older_one() -> None:
    cancelled: list[str] = []

    async def act(order: Order) -> Turned:
        assert order.sighting is not None
        try:
            await asyncio.sleep(60 if order.sighting.name == "one" else 0)
        except asyncio.CancelledError:
            cancelled.append(order.sighting.name)
            raise
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns):
        await until(lambda: turns.orders == ["one"])
        specs.put(sighting("two"))
        await until(lambda: turns.orders == ["one", "two"])

    assert ["one"] == cancelled


async def test_an_invalid_newer_revision_cancels_nothing() -> None:
    ended: list[str] = []

    async def act(order: Order) -> Turned:
        await asyncio.sleep(0.3)
        ended.append("one")
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns):
        await until(lambda: turns.orders == ["one"])
        specs.put(sighting("two", valid=False))
        await until(lambda: ended)

    assert ["one"] == turns.orders


async def test_while_another_daemon_turns_news_wait_and_are_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "_CONTENDED", 0.02)

    async def act(order: Order) -> Turned:
        if len(turns.orders) < 4:
            raise LockHeld("the lock is held by ada")
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns):
        await until(lambda: len(turns.orders) == 4)
        await asyncio.sleep(0.1)

    assert ["one"] * 4 == turns.orders


@pytest.mark.parametrize("hindrance", [LockHeld("ada has it"), N8nUnreachable("n8n is away")])
async def test_what_was_asked_for_is_done_when_nothing_hinders_it_any_more(
    monkeypatch: pytest.MonkeyPatch, hindrance: Exception
) -> None:
    for name in ("_CONTENDED", "_FIRST", "_STEP"):
        monkeypatch.setattr(reconcile, name, 0.02)
    hindered = False

    async def act(order: Order) -> Turned:
        if hindered:
            raise hindrance
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns, Pace(poll=0.02, drift=60)):
        await until(lambda: turns.orders == ["one"])
        hindered, turns.asked = True, datetime.now(UTC)
        await until(lambda: len(turns.orders) == 3)
        hindered = False
        count = len(turns.orders)
        await until(lambda: len(turns.orders) == count + 1)
        await asyncio.sleep(0.1)

    assert [True] * (count + 1) == turns.urgent  # and once is enough


async def test_a_change_that_is_due_again_is_not_lost_while_another_one_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "_CONTENDED", 0.02)

    async def act(order: Order) -> Turned:
        if len(turns.orders) == 2:
            raise LockHeld("ada has it")
        soon = datetime.now(UTC) + timedelta(seconds=0.1)
        return Turned(outcome="partly", failed=1, retry_at=soon if len(turns.orders) < 2 else None)

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns):
        await until(lambda: len(turns.orders) == 3)

    assert [True] * 3 == turns.urgent


async def test_whoever_asks_while_another_one_writes_makes_nobody_try_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "_CONTENDED", 0.2)
    monkeypatch.setattr(reconcile, "_STEP", 0.005)

    async def act(order: Order) -> Turned:
        if len(turns.orders) > 1:
            raise LockHeld("ada has it")
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns, Pace(poll=0.005, drift=60)):
        await until(lambda: turns.orders == ["one"])
        turns.asked = datetime.now(UTC)
        await asyncio.sleep(1)

    assert 3 <= len(turns.orders) <= 7


async def test_a_server_that_is_away_is_tried_again_later_and_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "_FIRST", 0.02)

    async def act(order: Order) -> Turned:
        if len(turns.orders) < 4:
            raise N8nUnreachable("n8n does not answer")
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    began = asyncio.get_running_loop().time()
    async with working(specs, turns):
        await until(lambda: len(turns.orders) == 4)

    assert asyncio.get_running_loop().time() - began >= 0.02 + 0.04 + 0.08


async def test_after_a_failed_turn_a_poll_is_no_reason_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "_FIRST", 30)

    async def act(order: Order) -> Turned:
        raise N8nUnreachable("n8n does not answer")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns, Pace(poll=0.01, drift=60)):
        await until(lambda: specs.looks > 10)
        assert ["one"] == turns.orders
        specs.put(sighting("two"))
        await until(lambda: turns.orders == ["one", "two"])  # but a newer revision is


async def test_why_turns_fail_is_told_until_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_FIRST", 0.02)
    told: list[str | None] = []

    async def act(order: Order) -> Turned:
        told.append(service.problem)
        if len(turns.orders) < 3:
            raise N8nUnauthorized("n8n refuses the API key")
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    service = Reconciler(specs, turns, SystemClock(), SELDOM)
    stopping = asyncio.Event()
    task = asyncio.create_task(service.run(stopping))
    await until(lambda: len(turns.orders) == 3 and service.problem is None)
    stopping.set()
    await task

    assert [None, "n8n refuses the API key", "n8n refuses the API key"] == told
    assert ["n8n refuses the API key"] * 2 == turns.failures


async def test_what_was_asked_for_before_it_started_is_answered_by_its_first_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "_STEP", 0.005)
    specs = MemorySpecs(sighting("one"))
    turns = MemoryTurns(asked=datetime.now(UTC))
    async with working(specs, turns, Pace(poll=0.02, drift=60)):
        await until(lambda: specs.looks > 5)

    assert ["one"] == turns.orders


async def test_a_revision_that_a_turn_refuses_gives_way_to_the_last_good_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "_CONTENDED", 0.02)

    async def act(order: Order) -> Turned:
        if order.sighting is not None and order.sighting.name == "two":
            raise WRONG
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns, Pace(poll=0.02, drift=0.6)):
        await until(lambda: turns.orders == ["one"])
        specs.put(sighting("two"))
        await until(
            lambda: ("two", "1 error in the specs: a secret is missing [CRE101]") in turns.seen
        )
        await until(lambda: "one" in turns.orders[2:] or turns.orders[-1] == "one")
        specs.put(sighting("three"))
        await until(lambda: turns.orders[-1] == "three")
        await until(lambda: turns.seen[-1] == ("three", None))


async def test_a_failed_change_is_tried_again_before_the_next_look_at_drift() -> None:
    async def act(order: Order) -> Turned:
        soon = datetime.now(UTC) + timedelta(seconds=0.2)
        return Turned(outcome="partly", failed=1, retry_at=soon if len(turns.orders) < 2 else None)

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns):
        await until(lambda: len(turns.orders) == 2)

    assert [True, True] == turns.urgent  # another daemon's look at drift does not replace it


async def test_a_push_makes_it_look_before_the_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_STEP", 0.02)
    specs, turns = MemorySpecs(sighting("one")), MemoryTurns()
    async with working(specs, turns):
        await until(lambda: turns.orders == ["one"])
        specs.newest = sighting("two")
        turns.asked = datetime.now(UTC)
        await until(lambda: turns.orders == ["one", "two"])


async def test_being_told_to_stop_gives_a_turn_time_to_end() -> None:
    ended: list[bool] = []

    async def act(order: Order) -> Turned:
        await asyncio.sleep(0.2)
        ended.append(True)
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns) as stopping:
        await until(lambda: turns.orders)
        stopping.set()

    assert [True] == ended


async def test_a_turn_that_does_not_end_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "_LAST_WORDS", 0.05)

    async def act(order: Order) -> Turned:
        await asyncio.sleep(60)
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    async with working(specs, turns) as stopping:
        await until(lambda: turns.orders)
        stopping.set()


async def test_being_cancelled_ends_it_at_once_with_its_turn() -> None:
    cancelled: list[bool] = []

    async def act(order: Order) -> Turned:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(True)
        return Turned(outcome="done")

    specs, turns = MemorySpecs(sighting("one")), MemoryTurns(act)
    task = asyncio.create_task(Reconciler(specs, turns, SystemClock(), SELDOM).run(asyncio.Event()))
    await until(lambda: turns.orders)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [True] == cancelled
