"""Renames: which record belongs to which address, when a document says what it was called before.

A move keeps the record and with it all ids. References are by address, so what
was applied and what is observed under the old name is read under the new one.
Going back to specs from before a renaming moves a record back, and going forward again there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconciler.plan.state import Desired, Recorded, World
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, Ref, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """What documents ask for of records that have other names now.

    *stuck*: records, by their present name, that can't take the other name: nothing tells them
    apart from what has it, or had it in between.
    """

    desired: dict[Address, Desired]
    stuck: tuple[tuple[Address, Address], ...] = ()


def settle_moves(world: World) -> dict[Address, Address]:
    """Tell which new address takes over the record of which old one.

    A move is void when there is no such record (it was done before), when the
    new address has a record that stays, when the old one is still declared, or
    when two resources would swap names (nothing tells a swap done from one to do).
    In a chain (b -> c, a -> b) the record of b makes room for that of a.
    """
    moves: dict[Address, Address] = {}
    for new in sorted(a for a, desired in world.desired.items() if desired.moved_from):
        old = world.desired[new].moved_from
        if old is None or old not in world.recorded or old in moves.values():
            continue
        if _alike(new, old):
            moves[new] = old
    while void := [new for new in moves if not _holds(new, moves, world)]:
        for new in void:
            del moves[new]
    return moves


def under_former_names(
    desired: Mapping[Address, Desired],
    recorded: Mapping[Address, Recorded],
    names: Mapping[str, Address],
) -> Renamed:
    """Let documents take over the records that they mean; nothing says so in them.

    *names*: how records were called when the documents were written, by row id, where that is not
    how they are called now. Without this the former name would be created anew beside what runs
    under the present one, or another resource would get its record.
    """
    heirs = {want.moved_from: new for new, want in sorted(desired.items()) if want.moved_from}
    found, sought, stuck = dict(desired), [], []
    for present, entry in sorted(recorded.items()):
        name = names.get(entry.row_id)
        if entry.removed or name is None or name == present:
            continue
        heir = name if name in desired else heirs.get(name)
        if heir is not None and heir != present:
            found[heir] = replace(found[heir], moved_from=present)
            sought.append((present, heir))
        elif heir is None and present in desired:
            stuck.append((present, name))
    moves = settle_moves(World(desired=found, recorded=recorded, observed={}))
    for present, heir in sought:
        holder = recorded.get(heir)
        waits = holder is not None and holder.removed and present not in desired
        if moves.get(heir) != present and not waits:  # what waits is blocked: see `blocked_move`
            found[heir] = desired[heir]
            stuck.append((present, heir))
    return Renamed(desired=found, stuck=tuple(sorted(stuck)))


def blocked_move(world: World, new: Address) -> str | None:
    """Say why a record can't move to *new*: a removed resource of that name keeps its history."""
    old, taken = world.desired[new].moved_from, world.recorded.get(new)
    if old is None or old in world.desired or taken is None or not taken.removed:
        return None
    moving = world.recorded.get(old)
    if moving is None or moving.removed or not _alike(new, old):
        return None
    return (
        f"{old} can't take this name: a removed resource has it, with its history; choose another"
    )


def rename(payload: Payload, names: Mapping[Address, Address]) -> Payload:
    """Return *payload* with references by the new *names* (old to new); itself when nothing moves."""
    return {key: _rename(item, names) for key, item in payload.items()} if names else payload


def _rename(value: Value, names: Mapping[Address, Address]) -> Value:
    match value:
        case Ref(address) if address in names:
            return replace(value, address=names[address])
        case dict():
            return {key: _rename(item, names) for key, item in value.items()}
        case list():
            return [_rename(item, names) for item in value]
        case _:
            return value


def _alike(new: Address, old: Address) -> bool:
    return new != old and (new.organization, new.kind) == (old.organization, old.kind)


def _holds(new: Address, moves: Mapping[Address, Address], world: World) -> bool:
    room = new not in world.recorded or new in moves.values()
    free = moves[new] not in world.desired or moves[new] in moves
    return room and free and not _turns_back(new, moves)


def _turns_back(start: Address, moves: Mapping[Address, Address]) -> bool:
    seen, at = {start}, moves.get(start)
    while at is not None and at not in seen:
        seen.add(at)
        at = moves.get(at)
    return at is not None
