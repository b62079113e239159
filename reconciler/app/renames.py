"""Specs that know records by other names than they have now: after a rollback, and on the way back.

A rollback over a renaming gives records the names again that the earlier specs know them by; when
it has ended, the newer specs mean the same records by their newer names.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import replace

from reconciler.engine.compile import Compiled
from reconciler.engine.observe import Reading
from reconciler.errors import GuardRefused
from reconciler.plan.moves import under_former_names
from reconciler.resource.address import Address
from reconciler.store.database import Database
from reconciler.store.holds import Holds
from reconciler.store.renames import names_at, names_before_rollback


class Way(enum.Enum):
    """Where an operation leads; said in the journal, since later ones must know."""

    FORWARD = enum.auto()  # to what the newest specs ask for
    BACK = enum.auto()  # to what those of a rollback ask for
    NEITHER = enum.auto()  # e.g. a repair, to what was applied last


async def under_names(
    database: Database, compiled: Compiled, reading: Reading, revision: str | None
) -> tuple[Compiled, Way]:
    """Read the specs of *revision* as what they are: those of an open rollback, or newer ones.

    Raises GuardRefused like `taken_back`.
    """
    pins = [hold.pinned for hold in await Holds(database, new_id=str).open() if hold.pinned]
    if pins and pins[-1] == revision:
        return taken_back(compiled, reading, await names_at(database, revision)), Way.BACK
    names = await names_before_rollback(database)
    return known_anew(compiled, reading, names), Way.NEITHER if pins else Way.FORWARD


def known_anew(compiled: Compiled, reading: Reading, names: Mapping[str, Address]) -> Compiled:
    """Have the newest specs mean what had these *names* (by row id) before a rollback."""
    if not names:
        return compiled
    renamed = under_former_names(compiled.desired, reading.recorded, names)
    return replace(compiled, desired=renamed.desired)


def taken_back(compiled: Compiled, reading: Reading, names: Mapping[str, Address]) -> Compiled:
    """Have earlier specs mean what had these *names* (by row id) when they were applied.

    Raises GuardRefused when something can't take its name back: what had it in between would
    become another automation, with the callers and the history of the first.
    """
    if not names:
        return compiled
    renamed = under_former_names(compiled.desired, reading.recorded, names)
    if renamed.stuck:
        stuck = "; ".join(f"{present} was {then}" for present, then in renamed.stuck)
        message = f"names were used again since, and can't be taken back: {stuck}"
        hint = "rename what has them now (movedFrom), or commit what you want instead"
        raise GuardRefused(message, hint=hint)
    return replace(compiled, desired=renamed.desired)


def declared(compiled: Compiled) -> frozenset[str]:
    """Name the organizations that specs say something about."""
    return frozenset(address.organization for address in compiled.desired)
