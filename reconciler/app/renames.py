"""Going back over a renaming: what earlier specs ask for takes over what has another name now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from reconciler.app import Session
from reconciler.engine.compile import Compiled
from reconciler.engine.observe import Reading
from reconciler.plan.moves import back
from reconciler.resource.address import Address
from reconciler.store.renames import former_names


async def renamed(
    session: Session, reading: Reading, declared: Collection[Address]
) -> Mapping[str, Sequence[Address]]:
    """Tell which names those records had before that the *declared* ones do not name."""
    gone = {
        address: entry.row_id
        for address, entry in reading.recorded.items()
        if address not in declared and not entry.removed
    }
    return await former_names(session.database, gone)


def moved_back(
    compiled: Compiled, reading: Reading, former: Mapping[str, Sequence[Address]]
) -> Compiled:
    """Have records take the names again that they had when *compiled* was written."""
    return replace(compiled, desired=back(compiled.desired, reading.recorded, former))
