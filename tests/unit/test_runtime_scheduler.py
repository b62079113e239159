"""How a scheduler starts much that is due: batches side by side, and all of it when one fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest

from reconciler.errors import DatabaseUnreachable, ReconcilerError
from reconciler.runtime.scheduler import LANES, Scheduler
from reconciler.store.scheduled import Fired
from reconciler.store.schedules import Schedules, Work


class Due:
    """Schedules that are due, in place of the tables; an error in *fails* ends a batch."""

    def __init__(self, count: int, fails: dict[int, Exception] | None = None) -> None:
        self.left = count
        self.fails = fails or {}
        self.calls = self.busy = self.most = self.done = 0
        self.one_by_one = False
        self.seconds = 0.01
        self.begun = asyncio.Event()

    async def work(self) -> Work:
        return Work(unscheduled=False, resumed=False, held=False, seconds=0.0)

    async def fire(
        self, limit: int, only: str | None = None, *, more: Callable[[], None] = lambda: None
    ) -> Fired:
        call, self.calls = self.calls, self.calls + 1
        self.busy += 1
        self.most = max(self.most, self.busy)
        found = min(limit, self.left)
        self.left -= found  # locked: others do not see them
        if found == limit and only is None:
            more()
        fails = self.fails.get(call)
        self.begun.set()
        try:
            await asyncio.sleep(
                self.seconds * (1 + call)
            )  # so that the first to begin is the first done
        except asyncio.CancelledError:
            self.left += found
            raise
        finally:
            self.busy -= 1
        if fails is not None:
            self.left += found
            raise fails
        self.done += found
        return Fired(schedules=found, outcomes=Counter(fired=found), late=(0.0,) * found)

    async def due(self, limit: int) -> list[str]:
        self.one_by_one = True
        return ["t"] * min(limit, self.left)


class Deaf:
    def poke(self) -> None:
        pass


def scheduler(due: Due, batch: int = 10) -> Scheduler:
    return Scheduler(cast("Schedules", cast("Any", due)), Deaf(), batch=batch)


async def test_one_batch_is_enough_for_what_fits_in_it() -> None:
    due = Due(9)

    assert await scheduler(due).tick() == 0.0

    assert (due.done, due.calls) == (9, 1)


async def test_more_is_started_in_batches_side_by_side() -> None:
    due = Due(95)

    assert await scheduler(due).tick() == 0.0

    assert due.done == 95
    assert due.most == LANES


async def test_nothing_that_can_be_locked_is_looked_at_again_soon() -> None:
    assert 0.0 < await scheduler(Due(0)).tick() < 1.0


@pytest.mark.parametrize("at", [0, 1])
async def test_a_batch_that_is_refused_lets_the_other_end_and_the_rest_start_one_by_one(
    at: int,
) -> None:
    due = Due(20, {at: ReconcilerError("no")})

    assert await scheduler(due).tick() == 0.0

    assert due.one_by_one
    assert due.done == 20
    assert due.busy == 0


async def test_a_database_that_is_gone_ends_the_tick_once_all_batches_have_ended() -> None:
    due = Due(40, {0: DatabaseUnreachable("gone")})

    with pytest.raises(DatabaseUnreachable):
        await scheduler(due).tick()

    assert due.busy == 0
    assert due.done > 0
    assert not due.one_by_one


async def test_a_tick_that_is_cancelled_leaves_no_batch_behind() -> None:
    due = Due(40)
    due.seconds = 60.0
    tick = asyncio.create_task(scheduler(due).tick())
    await due.begun.wait()
    tick.cancel()

    with pytest.raises(asyncio.CancelledError):
        await tick

    assert due.busy == 0
    assert due.done == 0
