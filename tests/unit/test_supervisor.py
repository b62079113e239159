"""The supervisor: one service's fault is not the others', and stopping has an order and an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from reconciler import metrics
from reconciler.errors import ConfigError, DatabaseUnreachable
from reconciler.runtime.supervisor import Patience, Supervisor

QUICK = Patience(first=0.001, longest=0.002, healthy=60, grace=0.05, slack=0.0, forced=0.05)
Work = Callable[[asyncio.Event], Awaitable[None]]


class Doing:
    """A service that does what a test says."""

    def __init__(self, name: str, work: Work) -> None:
        self._name = name
        self._work = work
        self.starts = 0

    @property
    def name(self) -> str:
        return self._name

    async def run(self, stopping: asyncio.Event) -> None:
        self.starts += 1
        await self._work(stopping)


async def until_stopped(stopping: asyncio.Event) -> None:
    await stopping.wait()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what it looks at tells nobody
            await asyncio.sleep(0.001)


async def stop_when(
    supervisor: Supervisor, condition: Callable[[], bool], stopping: asyncio.Event
) -> None:
    running = asyncio.create_task(supervisor.run(stopping))
    await eventually(condition)
    stopping.set()
    async with asyncio.timeout(5):
        await running


@pytest.mark.parametrize(
    "error", [ValueError("x"), DatabaseUnreachable("away"), ExceptionGroup("g", [OSError()])]
)
async def test_a_service_that_fails_is_started_again_and_the_others_go_on(error: Exception) -> None:
    async def fails(stopping: asyncio.Event) -> None:
        raise error

    broken, sound = Doing("broken", fails), Doing("sound", until_stopped)
    before = metrics.RESTARTS.labels("broken")._value.get()
    supervisor = Supervisor([broken, sound], patience=QUICK)

    await stop_when(supervisor, lambda: broken.starts > 3, asyncio.Event())

    assert sound.starts == 1
    assert metrics.RESTARTS.labels("broken")._value.get() - before >= 3


async def test_a_service_that_just_ends_is_started_again() -> None:
    async def ends(stopping: asyncio.Event) -> None:
        return

    service = Doing("ends", ends)

    await stop_when(
        Supervisor([service], patience=QUICK), lambda: service.starts > 2, asyncio.Event()
    )


async def test_a_service_that_is_set_up_wrongly_ends_the_daemon() -> None:
    async def misconfigured(stopping: asyncio.Event) -> None:
        raise ConfigError("the port is taken")

    sound = Doing("sound", until_stopped)
    supervisor = Supervisor([sound], last=[Doing("web", misconfigured)], patience=QUICK)

    with pytest.raises(ConfigError, match="the port is taken"):
        async with asyncio.timeout(5):
            await supervisor.run(asyncio.Event())


async def test_a_setting_that_goes_wrong_later_is_waited_for() -> None:
    async def later(stopping: asyncio.Event) -> None:
        if service.starts > 1:
            raise ConfigError("no such folder")

    service = Doing("later", later)

    await stop_when(
        Supervisor([service], patience=QUICK), lambda: service.starts > 4, asyncio.Event()
    )


async def test_what_is_down_says_why() -> None:
    async def fails(stopping: asyncio.Event) -> None:
        raise DatabaseUnreachable("PostgreSQL is away")

    patient = Patience(first=30, grace=0.05)
    supervisor = Supervisor(
        [Doing("broken", fails), Doing("sound", until_stopped)], patience=patient
    )
    stopping = asyncio.Event()

    await stop_when(
        supervisor, lambda: supervisor.down() == {"broken": "PostgreSQL is away"}, stopping
    )


async def test_the_last_service_is_told_to_stop_when_the_others_have_stopped() -> None:
    order: list[str] = []

    async def slow(stopping: asyncio.Event) -> None:
        await stopping.wait()
        await asyncio.sleep(0.02)
        order.append("worker")

    async def web(stopping: asyncio.Event) -> None:
        await stopping.wait()
        order.append("web")

    worker, server = Doing("worker", slow), Doing("web", web)
    supervisor = Supervisor([worker], last=[server], patience=QUICK)

    await stop_when(supervisor, lambda: server.starts == 1, asyncio.Event())

    assert order == ["worker", "web"]


async def test_a_service_that_does_not_stop_is_cancelled_after_the_grace() -> None:
    async def deaf(stopping: asyncio.Event) -> None:
        await asyncio.sleep(3600)

    service = Doing("deaf", deaf)

    await stop_when(
        Supervisor([service], patience=QUICK), lambda: service.starts == 1, asyncio.Event()
    )


async def test_being_cancelled_ends_all_services_at_once() -> None:
    ended: list[str] = []

    async def works(stopping: asyncio.Event) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cut")

    services = [Doing("a", works), Doing("b", works)]
    running = asyncio.create_task(
        Supervisor(services, last=[Doing("c", works)]).run(asyncio.Event())
    )
    await eventually(lambda: all(service.starts for service in services))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(1):
            await running

    assert ended == ["cut"] * 3


def test_the_pause_doubles_up_to_a_limit() -> None:
    supervisor = Supervisor([], patience=Patience(first=1, longest=60))

    pauses = [supervisor._delay(n) for n in (1, 2, 3, 10, 1000)]

    assert [pytest.approx(expected, rel=0.11) for expected in (1, 2, 4, 60, 60)] == pauses
