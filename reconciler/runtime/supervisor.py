"""Keeps the daemon's services alive: starts each one, and again with backoff when it fails.

The only place with `except Exception`: a fault in one service must not end the others.
Not here: which services there are (`reconciler.app.daemon`), nor signals (`reconciler.cli`).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler import metrics
from reconciler.errors import ConfigError, ReconcilerError
from reconciler.log import get_logger
from reconciler.runtime.service import Service

_log = get_logger("supervisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the supervisor waits for what, in seconds."""

    first: float = 1.0  # before the first new start of a service; doubles
    longest: float = 60.0
    healthy: float = 60.0  # a service that worked this long has recovered
    grace: float = 30.0  # for a service to finish its work when it is told to stop
    slack: float = 10.0  # beyond the grace, for handing back what did not finish
    forced: float = 5.0  # for a service to end after it was cancelled


@dataclass(slots=True)
class _State:
    up: bool = False
    problem: str | None = None


class Supervisor:
    """Runs services until it is told to stop; *last* stop after all others have."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        last: Sequence[Service] = (),
        patience: Patience | None = None,
    ) -> None:
        self._services = services
        self._last = last
        self._patience = patience or Patience()
        self._states = {service.name: _State() for service in (*services, *last)}

    def down(self) -> dict[str, str]:
        """Tell which services don't work now, and why."""
        return {
            name: state.problem or "not started"
            for name, state in self._states.items()
            if not state.up
        }

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep the services up until *stopping* is set, then end them in order.

        Being cancelled ends them at once. Raises ConfigError when a service can't even start
        for the first time because something is set up wrongly: trying again won't help.
        """
        closing = asyncio.Event()
        first = [self._task(service, stopping) for service in self._services]
        last = [self._task(service, closing) for service in self._last]
        try:
            await self._stopped_or_misconfigured(stopping, (*first, *last))
            await self._finish(first)
            closing.set()
            await self._finish(last)
        finally:
            closing.set()
            await self._cut((*first, *last))

    async def _stopped_or_misconfigured(
        self, stopping: asyncio.Event, tasks: Collection[asyncio.Task[None]]
    ) -> None:
        stop = asyncio.create_task(stopping.wait())
        waiting = {stop, *tasks}
        try:
            while not stop.done():
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stop}:
                    task.result()  # raises what it may raise
                waiting -= done
        finally:
            stop.cancel()

    def _task(self, service: Service, stopping: asyncio.Event) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep(service, stopping), name=service.name)

    async def _finish(self, tasks: Collection[asyncio.Task[None]]) -> None:
        if not tasks:
            return
        limit = self._patience.grace + self._patience.slack
        _, late = await asyncio.wait(tasks, timeout=limit)
        for task in late:
            _log.warning("did not stop in time", service=task.get_name(), seconds=limit)
        await self._cut(late)

    async def _cut(self, tasks: Collection[asyncio.Task[None]]) -> None:
        alive = [task for task in tasks if not task.done()]
        for task in alive:
            task.cancel()
        if alive:
            _, stuck = await asyncio.wait(alive, timeout=self._patience.forced)
            for task in stuck:
                _log.error("does not end", service=task.get_name())

    async def _keep(self, service: Service, stopping: asyncio.Event) -> None:
        state = self._states[service.name]
        loop = asyncio.get_running_loop()
        failures = 0
        while not stopping.is_set():
            began = loop.time()
            problem = await self._once(service, state, stopping, first=failures == 0)
            if problem is None:
                break
            failures = 1 if loop.time() - began > self._patience.healthy else failures + 1
            delay = self._delay(failures)
            metrics.RESTARTS.labels(service.name).inc()
            _log.info("starts again", service=service.name, seconds=round(delay, 1))
            await _wait(stopping, delay)
        state.problem = "stopped"

    async def _once(
        self, service: Service, state: _State, stopping: asyncio.Event, *, first: bool
    ) -> str | None:
        """Run the service once; give the problem it ended with, if it did not have to end."""
        up = metrics.SERVICE_UP.labels(service.name)
        state.up = True
        up.set(1)
        try:
            await service.run(stopping)
            problem = "ended by itself"
        except ReconcilerError as error:
            if first and isinstance(error, ConfigError) and not stopping.is_set():
                raise
            problem = str(error)
            _log.error("failed", service=service.name, error=problem, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - the one place; see above
            problem = type(error).__name__
            _log.exception("failed", service=service.name)
        finally:
            state.up = False
            up.set(0)
        if stopping.is_set():
            return None
        state.problem = problem
        return problem

    def _delay(self, failures: int) -> float:
        doubled = self._patience.first * 2.0 ** min(failures - 1, 16)
        return min(self._patience.longest, doubled) * random.uniform(0.9, 1.1)


_MOMENT: Final = 0.001


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, _MOMENT)):
            await event.wait()
    except TimeoutError:
        return
