"""Repair without news: what was changed outside git goes back to what was last applied."""

from __future__ import annotations

from dataclasses import replace

from reconciler.plan.state import Desired, Recorded, World
from reconciler.resource.address import Address


def repair_world(world: World) -> World:
    """Return *world* as if the specs asked for exactly what was last applied.

    New commits, renames and removals wait; what an interrupted apply left open
    waits, too, for nobody can tell which of its two states a repair should aim at.
    """
    settled = {a: r for a, r in world.recorded.items() if _is_settled(r) and _in_scope(world, a)}
    others = {a: r for a, r in world.recorded.items() if a not in settled and r.removed}
    return replace(
        world,
        desired={address: _as_applied(world, entry) for address, entry in settled.items()},
        recorded={**settled, **others},
        observed={a: seen for a, seen in world.observed.items() if a in settled or a in others},
    )


def _is_settled(entry: Recorded) -> bool:
    return bool(entry.payload) and entry.attempted is None and not entry.removed


def _in_scope(world: World, address: Address) -> bool:
    return address.organization in world.organizations or address in world.desired


def _as_applied(world: World, entry: Recorded) -> Desired:
    declared = world.desired.get(entry.address)
    return Desired(
        address=entry.address,
        payload=entry.payload,
        protected=entry.protected,
        blocked=declared.blocked if declared else None,
        mark=declared.mark if declared else None,
    )
