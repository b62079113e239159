"""Group commit: calls that arrive at about the same time make up one batch.

The more arrives, the less each costs. A single caller never waits; of several that call again as
soon as they are answered, the first waits a moment for the others: a fraction of what a batch
takes, and only until as many are there as may be expected. Beside a batch that takes long, or
when enough for another wait, a second one is under way. Not here: the work itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Generic, TypeVar

from reconciler.web.answers import RETRY_AFTER, Refused

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_PAUSE: Final = 0.25  # of the time that a batch takes
_LONGEST_PAUSE: Final = 0.005  # seconds
_LONGEST_WAIT: Final = 0.1  # seconds, for the end of the batch that is under way
_LONG: Final = 2.0  # times what a batch takes: then another is begun beside it
_FADES: Final = 0.75  # the part of an expectation that is left after a batch that did not meet it
# A value of PostgreSQL has its limits, and so has our memory while PostgreSQL is slow.
BATCH_BYTES: Final = 8 * 1024 * 1024
WAITING_BYTES: Final = 64 * 1024 * 1024


class Grouped(Generic[Asked, Answered]):
    """Calls *work* with what waits, a few batches at a time."""

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Coroutine[Any, Any, Sequence[Answered]]],
        *,
        batch: int = 200,
        waiting: int = 5000,
        at_once: int = 2,
        size: Callable[[Asked], int] = lambda _: 0,
    ) -> None:
        """*batch* is the largest batch; more than *waiting* calls are refused with 503.

        *size* tells the bytes of a call: both are bounded by bytes as well.
        """
        self._work = work
        self._batch = batch
        self._most = waiting
        self._at_once = at_once
        self._size = size
        self._bytes = 0  # of what waits
        self._waiting: list[tuple[Asked, asyncio.Future[Answered]]] = []
        self._busy = 0
        self._served = 0  # calls whose batches are under way
        self._callers = 1.0  # that seem to be there
        self._took = 0.0  # seconds, of the last batch
        self._enough: asyncio.Event | None = None  # while a batch is being gathered
        self._workers: set[asyncio.Task[None]] = set()

    async def __call__(self, one: Asked) -> Answered:
        """Wait for the answer to *one*; raises what the batch raised."""
        size = self._size(one)
        if len(self._waiting) >= self._most or self._bytes + size > WAITING_BYTES:
            raise Refused(503, "busy", "too much to do", {"Retry-After": str(RETRY_AFTER)})
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, future))
        self._bytes += size
        if self._enough is None:
            self._start()
        elif self._complete():
            self._enough.set()
        return await future

    def _start(self) -> None:
        if self._busy < self._at_once:
            self._busy += 1
            worker = asyncio.create_task(self._run())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _run(self) -> None:
        try:
            while self._waiting and self._enough is None:
                await self._gather()
                batch = self._next()
                if self._waiting:
                    self._start()
                await self._serve(batch)
        finally:
            self._busy -= 1

    def _next(self) -> list[tuple[Asked, asyncio.Future[Answered]]]:
        """Take what makes up a batch; a call that is too large for any has one of its own."""
        number = taken = 0
        for one, _ in self._waiting[: self._batch]:
            size = self._size(one)
            if number and taken + size > BATCH_BYTES:
                break
            number, taken = number + 1, taken + size
        batch = self._waiting[:number]
        del self._waiting[:number]
        self._bytes -= taken
        return batch

    def _complete(self) -> bool:
        expected = min(self._callers, self._batch)
        return len(self._waiting) >= expected or self._bytes >= BATCH_BYTES

    async def _gather(self) -> None:
        """Wait until as many calls are there as may be expected, but not long."""
        if self._complete():
            return
        self._enough = asyncio.Event()
        pause = min(self._took * _LONG, _LONGEST_WAIT) if self._served else self._pause()
        timer = asyncio.get_running_loop().call_later(pause, self._enough.set)
        try:
            await self._enough.wait()
        finally:
            timer.cancel()
            self._enough = None

    def _pause(self) -> float:
        return min(self._took * _PAUSE, _LONGEST_PAUSE)

    async def _serve(self, batch: Sequence[tuple[Asked, asyncio.Future[Answered]]]) -> None:
        asked = [one for one, _ in batch]
        clock = asyncio.get_running_loop().time
        began = clock()
        self._served += len(batch)
        self._callers = max(self._served, self._callers * _FADES)
        try:
            outcomes = await asyncio.gather(self._work(asked), return_exceptions=True)
            outcome = outcomes[0]
            for number, (_, future) in enumerate(batch):
                if future.done():
                    continue
                if isinstance(outcome, BaseException):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome[number])
        finally:
            self._served -= len(batch)
            self._took = clock() - began
            if self._enough is not None:  # it waited for the end of this one
                asyncio.get_running_loop().call_later(self._pause(), self._enough.set)
            for _, future in batch:
                future.cancel()
