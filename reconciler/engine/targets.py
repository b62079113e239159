"""Addresses that a person typed: a misspelt one must not pass for "nothing to do"."""

from __future__ import annotations

import difflib

from reconciler.errors import UsageError
from reconciler.plan.state import World
from reconciler.resource.address import Address


def require_known(targets: frozenset[Address] | None, world: World) -> None:
    """Refuse a target that is neither declared nor recorded; raises UsageError."""
    known = {str(address) for address in (*world.desired, *world.recorded)}
    for target in sorted(targets or ()):
        if str(target) not in known:
            near = difflib.get_close_matches(str(target), known, 1)
            message = f"there is no {target}, neither in the specs nor recorded"
            raise UsageError(message, hint=f"did you mean {near[0]}?" if near else None)
