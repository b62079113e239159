"""Which ids belong to an address, while a plan is being carried out."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.errors import ReconcilerError
from reconciler.plan.state import World
from reconciler.resource.address import Address
from reconciler.resource.payload import Ref, Side


class Identities:
    """Row ids and n8n ids by address; grows while resources are created."""

    def __init__(
        self,
        world: World,
        new_id: Callable[[], str],
    ) -> None:
        self._new_id = new_id
        self._rows = {a: want.row_id for a, want in world.desired.items() if want.row_id}
        self._rows |= {address: entry.row_id for address, entry in world.recorded.items()}
        self._objects = {a: e.object_id for a, e in world.recorded.items() if e.object_id}
        self._objects |= {a: o.object_id for a, o in world.observed.items() if o.object_id}

    def row(self, address: Address) -> str:
        """Give the row id of *address*; an unknown address gets a new one, once."""
        if address not in self._rows:
            self._rows[address] = self._new_id()
        return self._rows[address]

    def object(self, address: Address) -> str | None:
        """Give the n8n id of *address*, None while there is none."""
        return self._objects.get(address)

    def bind(self, address: Address, row_id: str, object_id: str | None) -> None:
        """Learn the ids of *address*."""
        self._rows[address] = row_id
        if object_id is None:
            self._objects.pop(address, None)
        else:
            self._objects[address] = object_id

    def identify(self, reference: Ref) -> str:
        """Resolve a reference; raises ReconcilerError when its resource has no object in n8n."""
        if reference.side is Side.ROW:
            return self.row(reference.address)
        found = self.object(reference.address)
        if found is None:
            message = f"{reference.address} does not exist in n8n"
            raise ReconcilerError(message, hint="apply it first, or look at `reconciler status`")
        return found
