"""Repair without news: what was changed outside git goes back to what was last applied."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace

from reconciler.plan.state import Desired, Observed, Recorded, World
from reconciler.resource.address import Address
from reconciler.resource.payload import Side, references


def repair_world(world: World, undeclared: AbstractSet[Address] = frozenset()) -> World:
    """Return *world* as if the specs asked for exactly what was last applied.

    What is *undeclared* by now is left alone: nobody says any more how it should be. New commits, renames and removals wait; what an interrupted apply left open
    waits, too, for nobody can tell which of its two states a repair should aim at.
    """
    settled = {
        a: r
        for a, r in world.recorded.items()
        if _is_settled(r) and _in_scope(world, a) and a not in undeclared
    }
    lacking = frozenset(_lacking(world))
    desired = {address: _as_applied(world, entry) for address, entry in settled.items()}
    if lacking:
        desired = {address: _waiting(wanted, lacking) for address, wanted in desired.items()}
    observed = {
        a: _of_record(seen, settled[a]) if a in settled else seen
        for a, seen in world.observed.items()
    }
    return replace(world, desired=desired, observed=observed)


def _of_record(seen: Observed, entry: Recorded) -> Observed:
    """Leave out a hand-made object that the specs name only now: nobody looked at the recorded one."""
    side, recorded = seen.payload.get("n8n"), entry.payload.get("n8n")
    if not isinstance(side, dict) or "existing" not in side or side == recorded:
        return seen
    payload = {key: value for key, value in seen.payload.items() if key != "n8n"}
    if recorded is not None:
        payload["n8n"] = recorded
    return replace(seen, payload=payload, object_id=entry.object_id, stamp=entry.stamp)


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


def _lacking(world: World) -> Iterator[tuple[Address, Side]]:
    """Yield what an interrupted apply left without its row or its object, or without its id."""
    for address, entry in world.recorded.items():
        if entry.attempted is not None:
            seen = world.observed.get(address)
            for side in Side:
                nameless = side is Side.N8N and entry.object_id is None
                if nameless or seen is None or side.value not in seen.payload:
                    yield address, side


def _waiting(wanted: Desired, lacking: frozenset[tuple[Address, Side]]) -> Desired:
    """Let a resource wait for one it refers to, if that one is not there."""
    needed = {(r.address, r.side) for r in references(wanted.payload)}
    first = min((a for a, _ in needed & lacking if a != wanted.address), default=None)
    if first is None:
        return wanted
    return replace(wanted, blocked=f"needs {first}, whose apply was interrupted: apply first")
