"""What a worker holds while it runs one execution, and what runs it.

Not here: how leases are kept (`reconciler.runtime.lease`), nor running in n8n
(`reconciler.runtime.run`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from reconciler.trigger.execution import Claimed, Ended


@dataclass(slots=True, kw_only=True, eq=False)
class Hold:
    """One execution that this worker owns, as long as its lease lasts.

    Times are those of the event loop, which nobody sets and which go on while a process is frozen.
    """

    claimed: Claimed
    since: float  # before the claim was sent
    until: float  # the lease's end, seen from here; never later than PostgreSQL's
    tell: Callable[[Hold, str], None]  # takes n8n's execution id
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    renewed: asyncio.Event = field(default_factory=asyncio.Event)
    started: bool = False  # whether n8n may have been told
    n8n_execution_id: str | None = None
    task: asyncio.Task[Ended] | None = None

    @property
    def began(self) -> float:
        """When the attempt began, here or at the worker that is gone."""
        return self.since - self.claimed.elapsed_seconds

    @property
    def over(self) -> bool:
        """Whether the run has ended, so that only its end is to be written."""
        return self.task is not None and self.task.done()

    async def confirm(self, margin: float = 1.0) -> None:
        """Wait until the row is surely ours for *margin* seconds more; cancelled when it is not.

        To be called right before anything that must not be done twice.
        """
        loop = asyncio.get_running_loop()
        while loop.time() > self.until - margin:
            self.renewed.clear()
            await self.renewed.wait()

    def note(self, n8n_execution_id: str) -> None:
        """Have n8n's id stored, so that another worker can take the run over."""
        if self.n8n_execution_id != n8n_execution_id:
            self.n8n_execution_id = n8n_execution_id
            self.tell(self, n8n_execution_id)

    def renew(self, until: float) -> None:
        """Learn that the lease was extended."""
        self.until = until
        self.renewed.set()


class Runner(Protocol):
    """Runs executions; the worker has one for all."""

    def run(self, hold: Hold) -> Coroutine[Any, Any, Ended]:
        """Run it to its end; being cancelled means: leave it as it is, it belongs to others now."""
        raise NotImplementedError
