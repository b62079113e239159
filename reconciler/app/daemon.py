"""The daemon: all services of the roles that it has, in one asyncio process.

Not here: what belongs to a role (`reconciler.app.roles`), signals (`reconciler.cli.daemon`).
"""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

from reconciler import metrics
from reconciler.app import open_database
from reconciler.app.roles import Base, Parts, add_roles, causes
from reconciler.errors import ReconcilerError
from reconciler.log import REDACTOR, get_logger
from reconciler.runtime.supervisor import Patience, Supervisor
from reconciler.settings import Settings
from reconciler.store.database import Database
from reconciler.store.figures import Figures
from reconciler.store.notify import Notifier
from reconciler.web.app import make_app
from reconciler.web.health import PATIENCE, Check, Draining, Health, health_router
from reconciler.web.server import HttpServer

_log = get_logger("daemon")
_SAMPLED: Final = 5.0  # seconds: figures are not read from the database more often


class Daemon:
    """Services, and what watches them."""

    def __init__(self, supervisor: Supervisor, health: Health, server: HttpServer) -> None:
        self._supervisor = supervisor
        self._health = health
        self._server = server

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._server.url

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping*, then finish what runs; being cancelled ends all at once."""
        gc.collect()
        gc.freeze()  # what was loaded stays; looking for cycles in it again would find none
        gc.set_threshold(10_000, 10, 10)
        watching = asyncio.create_task(self._tell(stopping))
        try:
            await self._supervisor.run(stopping)
        finally:
            watching.cancel()
        _log.info("stopped")

    async def _tell(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._health.stop()
        _log.info("stopping")


@asynccontextmanager
async def open_daemon(
    settings: Settings, listening: Callable[[str], None]
) -> AsyncIterator[Daemon]:
    """Wire everything that the roles of *settings* need; *listening* is told our address.

    Raises ConfigError, UnreachableError: what is wrong at the start is told, not tried again.
    """
    hide_secrets(settings)
    causes(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        notifier = Notifier(database)
        stack.push_async_callback(notifier.close)
        parts = Parts()
        base = Base(settings=settings, database=database, notifier=notifier, stack=stack)
        await add_roles(parts, base)
        checks: dict[str, Check] = {"database": _database_check(database), **parts.checks}
        health = Health(checks, remarks=parts.remarks, refresh=_sampler(database))
        app = make_app([health_router(health), *parts.routers], direct=parts.direct)
        server = HttpServer(
            Draining(app, health), settings.host, settings.port, listening=listening
        )
        supervisor = Supervisor(
            parts.services, last=[server], patience=Patience(grace=settings.grace)
        )
        checks["services"] = _services_check(supervisor)
        yield Daemon(supervisor, health, server)


def hide_secrets(settings: Settings) -> None:
    """Tell the redaction point the secrets among the settings."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if hasattr(value, "get_secret_value"):
            text = value.get_secret_value()
            password = urlsplit(text).password if "://" in text else None
            known = [text, *text.split(","), password, password and unquote(password)]
            REDACTOR.register(part for part in known if part)


def _database_check(database: Database) -> Check:
    async def check() -> str | None:
        try:
            await database.ready()
        except ReconcilerError as error:
            return _public(error)
        return None

    return check


def _public(error: ReconcilerError) -> str:
    """Say what is wrong without names of hosts: anybody may ask."""
    words = "".join(" " + c.lower() if c.isupper() else c for c in type(error).__name__)
    return words.strip()


def _services_check(supervisor: Supervisor) -> Check:
    async def check() -> str | None:
        down = supervisor.down()
        return f"not working: {', '.join(sorted(down))}" if down else None

    return check


def _sampler(database: Database) -> Callable[[], Awaitable[None]]:
    """Make what brings the gauges about the queue up to date, at most every 5 s."""
    figures = Figures(database)
    lock = asyncio.Lock()
    last = -math.inf

    async def refresh() -> None:
        nonlocal last
        async with lock:
            now = asyncio.get_running_loop().time()
            if now - last < _SAMPLED:
                return
            last = now
            try:
                async with asyncio.timeout(PATIENCE):
                    found = await figures.read()
            except (ReconcilerError, TimeoutError):
                metrics.QUEUED.clear()
                metrics.BREAKERS.clear()
                metrics.QUEUE_LAG.set(math.nan)
                return
            metrics.QUEUED.clear()
            for cause, count in found.queued.items():
                metrics.QUEUED.labels(cause).set(count)
            metrics.QUEUE_LAG.set(found.lag)
            for state in ("CLOSED", "OPEN", "HALF_OPEN"):
                metrics.BREAKERS.labels(state).set(found.breakers.get(state, 0))

    return refresh
