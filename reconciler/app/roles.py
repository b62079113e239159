"""What belongs to each role of the daemon: its services, routes and checks.

Not here: starting and stopping them (`reconciler.app.daemon`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from reconciler.app import new_id
from reconciler.app.collector import make_collector
from reconciler.app.reconcile import make_reconciler
from reconciler.app.webhooks import webhook_routes
from reconciler.app.worker import make_worker
from reconciler.errors import ConfigError, UsageError
from reconciler.runtime.dispatcher import Dispatcher
from reconciler.runtime.recount import RecountService
from reconciler.runtime.retention import RetentionService, Sweep
from reconciler.runtime.scheduler import LANES, Scheduler
from reconciler.runtime.service import Service
from reconciler.runtime.worker import Pace
from reconciler.settings import Role, Settings, Source
from reconciler.store.aside import PATIENCE
from reconciler.store.database import Database
from reconciler.store.deliveries import Deliveries
from reconciler.store.event_records import EventRecords
from reconciler.store.events import Events
from reconciler.store.executions import Executions
from reconciler.store.notify import Notifier
from reconciler.store.schedules import Schedules
from reconciler.trigger.execution import Cause
from reconciler.web.api import api_router
from reconciler.web.health import Check
from reconciler.web.push import push_router

_DAY = 86_400.0  # seconds
_BATCH = 500  # rows that one commit of retention removes


@dataclass(slots=True, kw_only=True)
class Base:
    """What several roles share."""

    settings: Settings
    database: Database
    notifier: Notifier
    stack: AsyncExitStack

    async def own_database(
        self, name: str, connections: int, *, scans: bool = True, lock_timeout: float = 5.0
    ) -> Database:
        """Open connections that other parts of the daemon can't use up; the timeout in seconds."""
        url = self.settings.database_url
        assert url is not None  # or the first connection had failed
        database = Database(
            url.get_secret_value(),
            application_name=f"reconciler {name}",
            pool_size=connections,
            lock_timeout=lock_timeout,
            scans=scans,
        )
        return await self.stack.enter_async_context(database)

    def executions(self, database: Database) -> Executions:
        """Give the executions over the connections of *database*."""
        return Executions(database, new_id=new_id, notifier=self.notifier)


@dataclass(slots=True)
class Parts:
    """What the roles bring along."""

    services: list[Service] = field(default_factory=list)
    routers: list[Any] = field(default_factory=list)
    direct: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    remarks: dict[str, Check] = field(default_factory=dict)


def causes(settings: Settings) -> frozenset[Cause] | None:
    """Read the setting `queues`; None: all. Raises UsageError for a flag, ConfigError for others."""
    known = {cause.value: cause for cause in Cause if cause is not Cause.NATIVE}
    wrong = [name for name in settings.queues if name not in known]
    if wrong:
        source = settings.source("queues")
        message = f"setting `queues` (from {source}): no such queue {wrong[0]!r}"
        wrong_at = UsageError if source is Source.FLAG else ConfigError
        raise wrong_at(message, hint=f"there are {', '.join(known)}")
    return frozenset(known[name] for name in settings.queues) or None


async def add_roles(parts: Parts, base: Base) -> None:
    """Add what the roles of the settings need; raises ConfigError."""
    roles = base.settings.roles
    if Role.WORKER in roles:
        native = await base.own_database("collector", 1)
        parts.services.append(await make_collector(base.settings, native, base.stack))
        await _add_worker(parts, base)
    if Role.SCHEDULER in roles:
        await _add_scheduler(parts, base)
    if Role.API in roles:
        await _add_api(parts, base)
    if Role.RECONCILER in roles:
        await _add_reconciler(parts, base)


async def _add_reconciler(parts: Parts, base: Base) -> None:
    reconciler = await make_reconciler(base.settings, base.stack)
    parts.services.append(reconciler)

    async def turning() -> str | None:  # anybody may ask, so it names no hosts
        failed = reconciler.problem is not None
        return "the last turn failed: `reconciler status` says why" if failed else None

    # Calls are taken in whether or not anything new can be applied: who takes them stays ready.
    place = parts.remarks if Role.API in base.settings.roles else parts.checks
    place["reconciler"] = turning


async def _add_worker(parts: Parts, base: Base) -> None:
    settings = base.settings
    if not settings.fire_triggers:
        parts.remarks["worker"] = _switched_off
        return
    database = await base.own_database("worker", 4, scans=False)
    pace = Pace(
        concurrency=settings.worker_concurrency, grace=settings.grace, causes=causes(settings)
    )
    executions = base.executions(database)
    worker = await make_worker(settings, database, executions, pace, base.stack)
    parts.services += [worker, RecountService(executions.recount)]

    async def claiming() -> str | None:
        return None if worker.claiming else "n8n does not answer: nothing is claimed until it does"

    # While n8n is away calls are still taken in, and wait: who takes them in stays ready.
    place = parts.remarks if Role.API in settings.roles else parts.checks
    place["n8n"] = claiming


async def _switched_off() -> str | None:
    return "the setting fire_triggers is off: what is asked for waits"


async def _add_scheduler(parts: Parts, base: Base) -> None:
    database = await base.own_database("scheduler", 2)
    ticking = await base.own_database("schedules", LANES, scans=False)
    poke = base.notifier.poke
    parts.services += [
        Scheduler(Schedules(ticking, new_id=new_id), base.notifier),
        Dispatcher(Events(database, base.executions(database)), poke),
    ]
    found = sweeps(base.settings, database)
    if found:
        parts.services.append(RetentionService(found))


def sweeps(settings: Settings, database: Database) -> dict[str, Sweep]:
    """Say how each table is kept from growing."""
    days, keep = settings.retention_days or None, settings.retention_per_automation or None
    found: dict[str, Sweep] = {}
    if days or keep:
        prune = Executions(database, new_id=new_id).prune
        found["workflow_executions"] = lambda most: prune(
            days=days, keep=keep, batch=_BATCH, most=most
        )
    if days:
        seconds = days * _DAY
        deliveries, events = Deliveries(database, new_id=new_id), EventRecords(database)
        found["webhook_deliveries"] = lambda most: deliveries.prune(seconds, most=most)
        found["events"] = functools.partial(events.prune, seconds)
    return found


async def _add_api(parts: Parts, base: Base) -> None:
    database = await base.own_database("api", 8)
    executions = base.executions(database)
    hooks = await base.own_database("webhooks", 6, scans=False, lock_timeout=PATIENCE)
    direct: Mapping[str, Any] = webhook_routes(base.settings, hooks, executions, base.notifier)
    for app in direct.values():
        base.stack.push_async_callback(app.rejections.flush)
    parts.direct.update(direct)
    parts.routers.append(api_router(database, executions, new_id=new_id, poke=base.notifier.poke))
    secret = base.settings.push_secret
    if secret is not None:
        signed = secret.get_secret_value()
        parts.routers.append(push_router(database, secret=signed, branch=base.settings.git_branch))
