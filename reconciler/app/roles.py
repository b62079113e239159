"""What belongs to each role of the daemon: its services, routes and checks.

Not here: starting and stopping them (`reconciler.app.daemon`).
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import ConfigError
from reconciler.runtime.retention import Keep, RetentionService
from reconciler.runtime.service import Service
from reconciler.settings import Role, Settings
from reconciler.store.database import Database
from reconciler.store.retention import Retention
from reconciler.trigger.execution import Cause
from reconciler.web.health import Check


@dataclass(slots=True, kw_only=True)
class Base:
    """What several roles share."""

    settings: Settings
    database: Database
    stack: AsyncExitStack


@dataclass(slots=True)
class Parts:
    """What the roles bring along."""

    services: list[Service] = field(default_factory=list)
    routers: list[Any] = field(default_factory=list)
    direct: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    remarks: dict[str, Check] = field(default_factory=dict)


def causes(settings: Settings) -> frozenset[Cause] | None:
    """Read the setting `queues`; None: all. Raises ConfigError."""
    known = {cause.value: cause for cause in Cause if cause is not Cause.NATIVE}
    wrong = [name for name in settings.queues if name not in known]
    if wrong:
        message = f"setting `queues` (from {settings.source('queues')}): no such queue {wrong[0]!r}"
        raise ConfigError(message, hint=f"there are {', '.join(known)}")
    return frozenset(known[name] for name in settings.queues) or None


async def add_roles(parts: Parts, base: Base) -> None:
    """Add what the roles of the settings need."""
    roles = base.settings.roles
    if Role.SCHEDULER in roles:
        _add_scheduler(parts, base)


def _add_scheduler(parts: Parts, base: Base) -> None:
    settings = base.settings
    keep = Keep(days=settings.retention_days, per_automation=settings.retention_per_automation)
    if keep.days or keep.per_automation:
        parts.services.append(RetentionService(Retention(base.database), keep))
