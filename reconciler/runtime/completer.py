"""Ends of executions, written many at a time: one transaction for all that came together.

What PostgreSQL does not take now is kept and written later. What it refuses for good, such as an
output with a NUL character, is written without its output, so that one row cannot hold up the
others. Not here: the statements (`reconciler.store.executions`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reconciler import metrics
from reconciler.errors import ReconcilerError
from reconciler.log import get_logger
from reconciler.runtime.ports import PASSING
from reconciler.trigger.execution import Ended

_LOG = get_logger("worker")
_MOST: Final = 200  # rows in one transaction
_FIRST_WAIT: Final = 0.1
_LONGEST_WAIT: Final = 2.0
_NOTE: Final = "what the run left can't be stored"


@dataclass(slots=True, kw_only=True)
class Written:
    """One end, and whether it became the row's: False: the row belongs to somebody else now."""

    ended: Ended
    real: bool


class Completer:
    """Collects ends for as long as *gather* says and hands them to *complete* together."""

    def __init__(
        self,
        complete: Callable[[Sequence[Ended]], Awaitable[set[tuple[str, int]]]],
        tell: Callable[[Sequence[Written]], None],
        *,
        gather: Callable[[], float],
    ) -> None:
        """Hand batches to *complete* (it answers what it really wrote), then results to *tell*.

        *gather* gives seconds.
        """
        self._complete = complete
        self._tell = tell
        self._gather = gather
        self._waiting: list[Ended] = []
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, ended: Ended) -> None:
        """Have *ended* written soon."""
        self._waiting.append(ended)
        self._none.clear()
        self._some.set()

    @property
    def waiting(self) -> int:
        """How many ends are not written yet."""
        return len(self._waiting)

    async def drained(self) -> None:
        """Wait until everything is written."""
        await self._none.wait()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._some.wait()
            if len(self._waiting) < _MOST:
                await asyncio.sleep(self._gather())
            batch = self._waiting[:_MOST]
            self._tell(await self._write(batch))
            del self._waiting[: len(batch)]
            if not self._waiting:
                self._some.clear()
                self._none.set()

    async def _write(self, batch: Sequence[Ended]) -> list[Written]:
        """Write *batch*, however long PostgreSQL is away."""
        wait = _FIRST_WAIT
        while True:
            try:
                with metrics.COMPLETE.time():
                    done = await self._complete(batch)
            except PASSING as error:
                _LOG.warning("completion_waits", rows=len(batch), reason=str(error))
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            except ReconcilerError as error:
                return await self._write_apart(batch, error)
            else:
                return [Written(ended=one, real=(one.id, one.attempt) in done) for one in batch]

    async def _write_apart(self, batch: Sequence[Ended], error: ReconcilerError) -> list[Written]:
        """Find the row that PostgreSQL refuses by halves, and write it without what it brought."""
        if len(batch) > 1:
            middle = len(batch) // 2
            return [*await self._write(batch[:middle]), *await self._write(batch[middle:])]
        [ended] = batch
        if (ended.error_message or "").startswith(_NOTE):  # nothing is left that could be at fault
            _LOG.error("completion_refused", execution=ended.id, reason=str(error))
            return [Written(ended=ended, real=False)]
        return await self._write([_without_content(ended, error)])


def _without_content(ended: Ended, error: ReconcilerError) -> Ended:
    """Give *ended* without the texts and values that came from n8n; it says what kept them out."""
    return replace(
        ended,
        output=None,
        output_truncated=ended.output_truncated or ended.output is not None,
        error_message=f"{_NOTE}: {error.message}",
        error_stack=None,
        error_node=None,
    )
