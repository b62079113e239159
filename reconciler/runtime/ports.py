"""What a worker needs of others, and how fast it goes.

Not here: who gives it (`reconciler.store.executions`, `reconciler.store.notify`,
`reconciler.runtime.n8n_breaker`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Protocol

from reconciler.errors import ConflictError, DeadlineExceeded, UnreachableError
from reconciler.trigger.execution import Cause, Claimed, Ended

# PostgreSQL can't now; asking again later helps.
PASSING: Final = (UnreachableError, ConflictError, DeadlineExceeded)


class Beat(Protocol):
    """What a heartbeat learns; `reconciler.store.executions` has the real one."""

    @property
    def alive(self) -> AbstractSet[str]:
        """Our executions, with new leases."""
        raise NotImplementedError

    @property
    def cancelled(self) -> AbstractSet[str]:
        """Those of them that somebody wants to end."""
        raise NotImplementedError


class Leases(Protocol):
    """The part of `reconciler.store.executions` that leases need."""

    async def beat(self, worker: str, lease: float) -> Beat:
        """Extend all leases of *worker*."""
        raise NotImplementedError

    async def rescue(self, worker: str, count: int, *, lease: float) -> list[Claimed]:
        """Take over rows whose lease has ended."""
        raise NotImplementedError

    async def release(self, worker: str, ids: Sequence[str]) -> None:
        """End leases now."""
        raise NotImplementedError

    async def requeue(self, worker: str, ids: Sequence[str]) -> None:
        """Put rows back that were never started."""
        raise NotImplementedError

    async def expire(self) -> int:
        """Cancel what waited longer than it may."""
        raise NotImplementedError


class Executions(Leases, Protocol):
    """The part of `reconciler.store.executions` that a worker needs."""

    async def claim(
        self, worker: str, count: int, *, lease: float, causes: Collection[Cause] | None = None
    ) -> list[Claimed]:
        """Make up to *count* rows ours."""
        raise NotImplementedError

    async def note_started(self, worker: str, started: Sequence[tuple[str, int, str]]) -> None:
        """Store n8n's execution ids."""
        raise NotImplementedError

    async def complete(self, worker: str, ended: Sequence[Ended]) -> set[tuple[str, int]]:
        """Write ends; tell which were really written."""
        raise NotImplementedError

    async def next_due(self, causes: Collection[Cause] | None = None) -> float | None:
        """Tell in how many seconds a claim can find something."""
        raise NotImplementedError


class Ear(Protocol):
    """What hears that there is something to do; `reconciler.store.notify` has the real one."""

    async def wait(self, seconds: float) -> bool:
        """Wait for a call; False: there was none."""
        raise NotImplementedError


class Gate(Protocol):
    """What says whether runs can be started at all."""

    @property
    def closed(self) -> bool:
        """Whether they can (a closed breaker lets things through)."""
        raise NotImplementedError

    async def wait_closed(self) -> None:
        """Wait until they can."""
        raise NotImplementedError

    async def run(self) -> None:
        """Find out until cancelled."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much at a time, and how often; times in seconds."""

    concurrency: int = 10
    batch: int = 50  # rows in one claim
    lease: float = 30.0
    heartbeat: float = 10.0
    rescue: float = 5.0
    poll: float = 1.0
    gather: float = 0.002  # for each run in flight: how long others are waited for, to be claimed
    # or written with in one statement
    grace: float = 30.0  # how long runs may go on after being told to stop
    causes: frozenset[Cause] | None = None  # None: all
