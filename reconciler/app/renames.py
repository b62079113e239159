"""Specs that know records by other names than they have now: after a rollback, and on the way back.

A rollback over a renaming gives records the names again that the earlier specs know them by; when
it has ended, the newer specs mean the same records by their newer names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.engine.compile import Compiled
from reconciler.engine.observe import Reading
from reconciler.errors import GuardRefused
from reconciler.plan.moves import under_former_names
from reconciler.resource.address import Address


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
        hint = "remove or rename what has them now, or commit what you want instead"
        raise GuardRefused(message, hint=hint)
    return replace(compiled, desired=renamed.desired)
