"""Everything that `status` tells: resources, holds, where specs come from, the last operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.app import Session, existing_root, new_id
from reconciler.app.source import followed_specs
from reconciler.engine.backoff import Failure
from reconciler.engine.conditions import failures
from reconciler.engine.status import Health, Standing, Sync, standings, unknown
from reconciler.errors import (
    GitUnreachable,
    N8nError,
    N8nUnauthorized,
    N8nUnreachable,
    RevisionGone,
)
from reconciler.plan.guard import Policy
from reconciler.plan.planner import PlanOptions
from reconciler.plan.restraint import Hold, What, covering
from reconciler.resource.address import Address
from reconciler.resource.payload import Object
from reconciler.store.background import Background
from reconciler.store.conditions import Conditions
from reconciler.store.holds import Holds
from reconciler.store.lock import Holder, holder
from reconciler.store.operations import Operation
from reconciler.store.sources import Sources, SourceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `status` shows; *trouble*: why not everything could be compared."""

    standings: Sequence[Standing]
    holds: Sequence[Hold]
    source: SourceState
    operations: Sequence[Operation]
    lock: Holder | None
    conditions: Mapping[Address, Sequence[Object]]  # as the last turn of a daemon left them
    trouble: str | None = None


async def look(session: Session) -> Status:
    """Compare everything, as far as n8n and git can be asked."""
    operations, lock = await session.operations(5), await holder(session.database)
    source = await Sources(session.database).load()
    holds = await Holds(session.database, new_id=new_id).open()
    conditions = await Conditions(session.database).load()
    failed = failures(conditions)
    paused = await Background(session.database).paused()
    trouble: str | None = None
    try:
        if session.settings.git_url is None and not source.place:
            existing_root(session.settings)  # else what a daemon found there is still told
        loaded = await followed_specs(session.settings, source)
        planned = await session.plan(loaded, PlanOptions(), Policy(), frozenset())
        found = standings(planned.plan, planned.world)
    except (N8nError, N8nUnreachable, N8nUnauthorized, GitUnreachable, RevisionGone) as error:
        trouble = str(error)
        why = "n8n can't be asked"
        if isinstance(error, (GitUnreachable, RevisionGone)):
            why = "git can't be asked" if session.settings.git_url else "the specs can't be read"
        found = unknown(await session.ledger().recorded(), why)
    return Status(
        standings=[annotated(standing, holds, failed, paused) for standing in found],
        holds=holds,
        source=source,
        operations=operations,
        lock=lock,
        conditions=conditions,
        trouble=trouble,
    )


def annotated(
    standing: Standing,
    holds: Sequence[Hold],
    failed: Mapping[Address, Failure],
    paused: Mapping[Address, datetime | None],
) -> Standing:
    """Say of a resource what the comparison alone does not show.

    *paused*: automations whose runs failed again and again, with the end of the pause. Trouble goes
    before a hold, which somebody wished.
    """
    failure = failed.get(standing.address)
    on_fire = covering(holds, standing.address, What.FIRE)
    if standing.sync is Sync.OUT_OF_SYNC and failure is not None:
        times = "once" if failure.count == 1 else f"{failure.count} times"
        moment = f"{failure.retry_at:%H:%M:%S} UTC"
        reason = f"failed {times}, next try {moment}: {failure.message}"
        health = Health.DEGRADED if standing.health is Health.HEALTHY else standing.health
        return replace(standing, reason=reason, health=health)
    if standing.address in paused and standing.health is Health.HEALTHY:
        synced = standing.sync is Sync.SYNCED
        reason = _failing(paused[standing.address]) if synced else standing.reason
        return replace(standing, health=Health.DEGRADED, reason=reason)
    runs = standing.address.kind in {"Automation", "Trigger"}
    if on_fire and runs and standing.health is Health.HEALTHY:
        synced = standing.sync is Sync.SYNCED
        reason = f"runs are {on_fire[0]}" if synced else standing.reason
        return replace(standing, health=Health.PAUSED, reason=reason)
    return standing


def _failing(until: datetime | None) -> str:
    if until is None:
        return "its runs failed again and again: one run probes whether it works again"
    end = f"{until:%Y-%m-%d %H:%M:%S} UTC"
    return f"its runs failed again and again: paused until {end}, then one probes it"
