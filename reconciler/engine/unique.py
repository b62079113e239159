"""What PostgreSQL allows once only: a credential's owner, provider and title together.

The seed's table has this rule; without a look at it before, an apply would make
the object in n8n and then fail at the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.plan.state import Desired, World
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload

_COLUMNS = ("user", "provider", "credentialName")


def clashes(desired: Iterable[Desired]) -> Iterator[Diagnostic]:
    """Find the documents that ask for the same row key as one before them."""
    first: dict[tuple[object, ...], Address] = {}
    for want in sorted(desired, key=lambda d: d.address):
        key = _key(want.address, want.payload)
        if key is None:
            continue
        other = first.setdefault(key, want.address)
        if other != want.address:
            yield Diagnostic(
                Severity.ERROR,
                "CRE110",
                f"{want.address} has the same owner, provider and title as {other}",
                want.mark,
                "give one of them another `title`",
            )


def block_clashes(world: World) -> World:
    """Block what would take the row key of a recorded credential that nothing declares any more."""
    moved = {want.moved_from for want in world.desired.values() if want.moved_from}
    holders = {
        key: address
        for address, entry in world.recorded.items()
        if not entry.removed and address not in world.desired and address not in moved
        if (key := _key(address, entry.payload or entry.attempted or {})) is not None
    }
    blocked: dict[Address, Desired] = {}
    for address, want in world.desired.items() if holders else ():
        holder = holders.get(_key(address, want.payload) or ())
        entry = world.recorded.get(address)
        kept = entry is not None and _key(address, entry.payload) == _key(address, want.payload)
        if holder is not None and not kept:
            reason = (
                f"{holder} still has this owner, provider and title; if it was renamed, write"
                f" metadata.movedFrom: {holder.name}, else give this one another title"
            )
            blocked[address] = replace(want, blocked=want.blocked or reason)
    return replace(world, desired={**world.desired, **blocked}) if blocked else world


def _key(address: Address, payload: Mapping[str, object] | Payload) -> tuple[object, ...] | None:
    row = payload.get("row")
    if address.kind != "Credential" or not isinstance(row, dict):
        return None
    return tuple(row.get(column) for column in _COLUMNS)
