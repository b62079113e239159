"""The breaker before n8n itself: while n8n is away, nothing is claimed and no attempt is spent.

Not here: the breaker of one automation, which lives in its row (`reconciler.store.executions`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

from reconciler import metrics
from reconciler.log import get_logger

_LOG = get_logger("worker")
_FIRST_WAIT: Final = 0.25
_LOOK_EVERY: Final = 1.0
_SETTLING: Final = 60.0


class N8nBreaker:
    """Closed: n8n answers. Open: asked again after 0.25, 0.5, 1, ... at most *every* seconds."""

    def __init__(
        self,
        probe: Callable[[], Awaitable[bool]],
        suspect: Callable[[], bool] | None = None,
        *,
        every: float = 5.0,
    ) -> None:
        """*probe* asks n8n; *suspect* tells, without asking, that others get no answers."""
        self._probe = probe
        self._suspect = suspect
        self._every = every
        self._closed = asyncio.Event()
        self._opened = asyncio.Event()
        self._trips = 0  # since n8n last started a run
        self._settled_at = -math.inf
        self._closed.set()
        metrics.N8N_REACHABLE.set(1)

    @property
    def closed(self) -> bool:
        """Whether n8n may be asked to run something."""
        return self._closed.is_set()

    @property
    def trips(self) -> int:
        """How often it opened since n8n last started a run: many, and it is no outage."""
        return self._trips

    @property
    def settling(self) -> bool:
        """Whether n8n came back just now: it answers before it serves all its workflows."""
        return asyncio.get_running_loop().time() < self._settled_at

    def trip(self, why: str) -> None:
        """Stop asking n8n, which did not start a run."""
        if self.closed:
            self._trips += 1
            self._open(why)

    def _open(self, why: str) -> None:
        self._closed.clear()
        self._opened.set()
        metrics.N8N_REACHABLE.set(0)
        _LOG.warning("n8n_unreachable", reason=why)

    def worked(self) -> None:
        """Learn that n8n started a run."""
        self._trips = 0

    async def wait_closed(self) -> None:
        """Wait until n8n answers."""
        await self._closed.wait()

    async def run(self) -> None:
        """Probe while it is open, until cancelled."""
        while True:
            await self._until_opened()
            # Whoever opens it again and again, although the probe is answered, waits longer too.
            wait = min(self._every, _FIRST_WAIT * 2.0 ** min(self._trips - 1, 10))
            await asyncio.sleep(wait)
            while not await self._probe():
                wait = min(self._every, 2 * wait)
                await asyncio.sleep(wait)
            self._settled_at = asyncio.get_running_loop().time() + _SETTLING
            self._opened.clear()
            self._closed.set()
            metrics.N8N_REACHABLE.set(1)
            _LOG.info("n8n_answers_again")

    async def _until_opened(self) -> None:
        while not self._opened.is_set():
            try:
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._opened.wait()
            except TimeoutError:
                if self._suspect is not None and self._suspect():
                    self._open("runs can't be followed")
