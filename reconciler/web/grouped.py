"""Group commit: what arrives while batches are under way makes up the next one.

Nobody waits for a timer, and the more arrives, the less each costs. Two batches may be under way,
so that PostgreSQL can write both to the disk at once. Not here: the work itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

from reconciler.web.answers import RETRY_AFTER, Refused

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


class Grouped(Generic[Asked, Answered]):
    """Calls *work* with everything that waits, a few batches at a time."""

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Coroutine[Any, Any, Sequence[Answered]]],
        *,
        batch: int = 200,
        waiting: int = 5000,
        at_once: int = 2,
    ) -> None:
        """*batch* is the largest batch; more than *waiting* calls are refused with 503."""
        self._work = work
        self._batch = batch
        self._most = waiting
        self._waiting: list[tuple[Asked, asyncio.Future[Answered]]] = []
        self._at_once = at_once
        self._busy = 0
        self._workers: set[asyncio.Task[None]] = set()

    async def __call__(self, one: Asked) -> Answered:
        """Wait for the answer to *one*; raises what the batch raised."""
        if len(self._waiting) >= self._most:
            raise Refused(503, "busy", "too much to do", {"Retry-After": str(RETRY_AFTER)})
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, future))
        if self._busy < self._at_once:
            self._busy += 1
            worker = asyncio.create_task(self._run())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[: self._batch]
                del self._waiting[: self._batch]
                await self._serve(batch)
        finally:
            self._busy -= 1

    async def _serve(self, batch: Sequence[tuple[Asked, asyncio.Future[Answered]]]) -> None:
        asked = [one for one, _ in batch]
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
            for _, future in batch:
                future.cancel()
