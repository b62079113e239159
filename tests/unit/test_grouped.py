"""Calls that make up batches: nobody waits alone, several wait for one another, none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from reconciler.web.answers import Refused
from reconciler.web.grouped import BATCH_BYTES, WAITING_BYTES, Grouped

POISON = -1


class Work:
    """Takes a while for each batch, and remembers them."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.batches: list[list[int]] = []
        self.at_once = 0
        self._running = 0

    async def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches.append(list(asked))
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        await asyncio.sleep(self.seconds)
        self._running -= 1
        if POISON in asked:
            raise ValueError(len(asked))
        return [10 * one for one in asked]


async def test_each_gets_his_own_answer() -> None:
    grouped = Grouped[int, int](Work(0.0))
    assert await asyncio.gather(*(grouped(n) for n in range(500))) == [10 * n for n in range(500)]


async def test_a_single_caller_waits_for_nobody() -> None:
    work = Work(0.1)
    grouped = Grouped[int, int](work)
    for n in range(3):
        call = asyncio.ensure_future(grouped(n))
        for _ in range(10):  # no time has to pass for a batch to begin
            await asyncio.sleep(0)
        assert len(work.batches) == n + 1
        await call
    assert work.batches == [[0], [1], [2]]


async def test_callers_that_call_again_share_their_batches() -> None:
    work = Work()
    grouped = Grouped[int, int](work)

    async def caller(number: int) -> None:
        for _ in range(20):
            await grouped(number)
            await asyncio.sleep(0.0005 * (number % 3))  # they don't come at the same moment

    await asyncio.gather(*(caller(n) for n in range(10)))
    assert sum(map(len, work.batches)) == 200
    assert len(work.batches) < 40  # of ten each it would be twenty


async def test_of_callers_that_went_nobody_is_waited_for_for_long() -> None:
    work = Work()
    grouped = Grouped[int, int](work)
    await asyncio.gather(*(grouped(n) for n in range(100)))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await grouped(1)
    assert loop.time() - began < 0.2


async def test_a_batch_that_takes_long_holds_nobody_else_up() -> None:
    work = Work()
    grouped = Grouped[int, int](work)
    await grouped(1)  # so that it knows how long a batch takes
    work.seconds = 1.0
    stuck = asyncio.create_task(grouped(2))
    await asyncio.sleep(0.01)
    work.seconds = 0.01
    async with asyncio.timeout(0.5):
        assert await grouped(3) == 30
    assert not stuck.done()
    assert work.at_once == 2
    assert await stuck == 20


async def test_what_waits_when_a_batch_is_full_is_not_forgotten() -> None:
    work = Work()
    grouped = Grouped[int, int](work, batch=3)
    async with asyncio.timeout(5):
        await asyncio.gather(*(grouped(n) for n in range(100)))
    assert max(map(len, work.batches)) == 3
    assert work.at_once == 2


async def test_an_error_reaches_everybody_in_the_batch_and_nobody_else() -> None:
    grouped = Grouped[int, int](Work(), batch=4)
    numbers = [0, 1, 2, POISON, 4, 5, 6, 7, 8, 9]
    found = await asyncio.gather(*(grouped(n) for n in numbers), return_exceptions=True)
    assert [isinstance(one, ValueError) for one in found] == [True] * 4 + [False] * 6
    assert await grouped(1) == 10


async def test_too_many_are_refused() -> None:
    grouped = Grouped[int, int](Work(), waiting=5)
    found = await asyncio.gather(*(grouped(n) for n in range(20, 30)), return_exceptions=True)
    refused = [one for one in found if isinstance(one, Refused)]
    assert [one.status for one in refused] == [503] * 5


MIB = 1024 * 1024


async def test_large_calls_share_a_batch_only_up_to_its_bytes() -> None:
    work = Work()
    grouped = Grouped[int, int](work, size=lambda one: one)
    asked = [MIB] * 20 + [1] * 20 + [2 * BATCH_BYTES, 2, 2]
    async with asyncio.timeout(5):
        assert await asyncio.gather(*map(grouped, asked)) == [10 * one for one in asked]
    assert [batch for batch in work.batches if sum(batch) > BATCH_BYTES] == [[2 * BATCH_BYTES]]
    assert len(work.batches) <= 6  # small ones still share theirs


async def test_more_bytes_than_may_wait_are_refused_until_some_are_gone() -> None:
    grouped = Grouped[int, int](Work(), size=lambda one: one)
    places = WAITING_BYTES // MIB
    found = await asyncio.gather(*map(grouped, [MIB] * (places + 5)), return_exceptions=True)
    refused = [one for one in found if isinstance(one, Refused)]
    assert [(one.status, one.code) for one in refused] == [(503, "busy")] * 5
    assert "Retry-After" in refused[0].headers
    async with asyncio.timeout(5):  # every byte that was counted was given back
        again = await asyncio.gather(*map(grouped, [MIB] * places))
    assert again == [10 * MIB] * places
