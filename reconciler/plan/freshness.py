"""Whether a plan that was kept still fits the world, resource by resource, and is all there is to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reconciler.plan.change import Action, Change, Only, Plan
from reconciler.plan.decide import trim
from reconciler.plan.diff import same
from reconciler.plan.held import follows_drift, intends, renewals
from reconciler.plan.repair import repair_world
from reconciler.plan.state import Observed, Recorded, World
from reconciler.plan.traits import Traits
from reconciler.plan.view import Case, View
from reconciler.resource.address import Address
from reconciler.resource.payload import digest


def stale(plan: Plan, world: World, traits: Mapping[str, Traits]) -> dict[Address, str]:
    """Say for which resources of *plan* the world moved on after it was made, and how."""
    if plan.scope.only is Only.DRIFT:
        world = repair_world(world)
    view = View(world, traits)
    found: dict[Address, str] = {}
    for change in plan.changes:
        if change.blocked is not None or change.action is Action.DISCARD:
            continue
        case = view.case(change.address)
        reason = _spec(change, case) or _record(change, case) or _live(change, case, view)
        if reason is not None:
            found[change.address] = reason
    return found


def beyond(plan: Plan, fresh: Plan) -> dict[Address, str]:
    """Say where what there is to do by now, *fresh*, is more than *plan* says, or less.

    What only drifted meanwhile is left to the next one, what is blocked is not to be done.
    """
    intended = {change.address for change in plan.shown if intends(change) and not _ends(change)}
    found = {
        change.address: f"it would change as well by now ({change.why})"
        for change in _news(fresh)
        if change.blocked is None and change.address not in intended
    }
    left = {change.address for change in fresh.shown}
    for change in plan.shown:
        done = change.address not in left and change.action is not Action.DISCARD
        if done and change.blocked is None:
            found[change.address] = "it need not change any more"
    return found


def with_blocked(plan: Plan, fresh: Plan) -> Plan:
    """Add what *fresh* shows as blocked and *plan* does not show: it is not done, and is told."""
    known = {change.address for change in plan.shown}
    more = [c for c in _news(fresh) if c.blocked is not None and c.address not in known]
    return replace(plan, waves=(*plan.waves, tuple(more))) if more else plan


def _news(plan: Plan) -> Iterator[Change]:
    """Yield what brings something new from the specs; leftovers in n8n are nobody's news."""
    renewed = renewals(plan)
    for change in plan.shown:
        if intends(change) and not _ends(change) and not follows_drift(change, renewed):
            yield change


def _ends(change: Change) -> bool:
    """Whether *change* deletes what a replacement left, or is kept from removing something."""
    return change.action is Action.DISCARD or change.guard is not None


def block(plan: Plan, reasons: Mapping[Address, str]) -> Plan:
    """Block the changes of the resources in *reasons*, and what needs them."""
    blocked = dict(reasons)
    waves = []
    for wave in plan.waves:
        changes = []
        for change in wave:
            note = blocked.get(change.address)
            lacking = next((address for address in change.needs if address in blocked), None)
            if note is None and lacking is not None:
                note = f"needs {lacking}, which is blocked"
            if note is not None and change.blocked is None:
                blocked.setdefault(change.address, note)
                change = replace(change, blocked=note)  # noqa: PLW2901 - the one that is kept
            changes.append(change)
        waves.append(tuple(changes))
    return replace(plan, waves=tuple(waves))


def _spec(change: Change, case: Case) -> str | None:
    planned, now = change.desired, case.desired
    if planned is None or now is None:
        if planned is now:
            return None
        return "it is declared now" if now else "it is not declared any more"
    alike = planned.protected == now.protected
    if change.action is Action.RECORD:  # its payload was completed from the record
        alike = alike and same(planned.payload, now.payload)
    else:
        alike = alike and digest(planned.payload) == digest(now.payload)
    return None if alike else "its spec changed after the plan was made"


def _record(change: Change, case: Case) -> str | None:
    alike = _essence(change.recorded) == _essence(case.recorded)
    return None if alike else "it was applied after the plan was made"


def _essence(entry: Recorded | None) -> Recorded | None:
    """Leave out what changes without meaning anything for a plan."""
    return entry and replace(entry, stamp=None, revision=None, protected=False)


def _live(change: Change, case: Case, view: View) -> str | None:
    planned, now = change.observed, trim(case, view.traits(change.address))
    before = {} if planned is None else planned.payload
    after = {} if now is None else now.payload
    if before.get("row") != after.get("row"):
        return "its row changed in PostgreSQL after the plan was made"
    if before.get("n8n") != after.get("n8n") or _version(planned) != _version(now):
        return "it changed in n8n after the plan was made"
    return None


def _version(observed: Observed | None) -> tuple[str | None, ...]:
    """Which object and which version; n8n also touches `updatedAt` when nobody changed a thing."""
    if observed is None:
        return (None,)
    stamp = observed.stamp
    marks = (None, None) if stamp is None else (stamp.version, stamp.published)
    return (observed.object_id, *marks)
