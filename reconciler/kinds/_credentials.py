"""n8n's credential endpoints, as the kinds that own a credential use them.

A credential's name ends with a mark made of its row id: names we write are
unique in one n8n (which repairs a node's stale id by name), and the ending is
the marker that finds a creation whose answer was lost.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from reconciler.errors import LiveChanged, N8nNotFound
from reconciler.kinds.kind import Kind, Known, Seen, SpecT, Written
from reconciler.resource.address import Address
from reconciler.resource.api import Api
from reconciler.resource.marker import short_mark
from reconciler.resource.payload import Object, Payload, Ref, Side
from reconciler.resource.stamp import Stamp

_MARKED = re.compile(r"^(?P<name>.*) \[(?P<marker>[a-z0-9]{8})\]$", re.DOTALL)


def marked_name(name: str, row_id: str) -> str:
    """Write the name that a credential bears in n8n."""
    return f"{name} [{short_mark(row_id)}]"


def marker(object_: Object) -> str | None:
    """Find the mark of a row id in a credential's name."""
    found = _MARKED.match(str(object_.get("name", "")))
    return found["marker"] if found else None


def plain_name(object_: Object, row_id: str) -> str:
    """Read a credential's name without our marker; another marker stays, as it is drift."""
    name = str(object_.get("name", ""))
    ending = f" [{short_mark(row_id)}]"
    return name.removesuffix(ending) if name.endswith(ending) else name + " (renamed)"


async def create(api: Api, body: Object) -> Object:
    """Create a credential from a wired body."""
    return await api.post("/credentials", _request(body))


async def update(api: Api, known: Known, body: Object) -> Written:
    """Replace name, type and all data of a credential; raises LiveChanged when it moved."""
    seen = await api.get(f"/credentials/{known.id}")
    if known.stamp is not None and Stamp.of(seen) != known.stamp:
        message = f"credential {seen.get('name')!r} was changed in n8n after the plan was made"
        raise LiveChanged(message, hint="look at a new plan: `reconciler plan`")
    return Written(await api.patch(f"/credentials/{known.id}", _request(body), idempotent=True))


async def remove(api: Api, id_: str) -> None:
    """Delete a credential; being gone already is fine."""
    try:
        await api.delete(f"/credentials/{id_}", idempotent=True)
    except N8nNotFound:
        return


def _request(body: Object) -> Object:
    name, row_id = str(body["name"]), str(body["marker"])
    data: Any = body["data"]
    return {"name": marked_name(name, row_id), "type": body["type"], "data": data}


def canonical(seen: Seen, object_: Object) -> Payload:
    """Bring a credential as n8n lists it into the form of a payload's n8n side."""
    oauth = "oauth" in str(object_.get("type", "")).lower()
    return {
        "name": plain_name(object_, seen.row_id),
        "marker": Ref(seen.address, Side.ROW),
        "type": str(object_.get("type")),
        "edited": seen.edited and not oauth,  # n8n refreshes OAuth tokens by itself
    }


class CredentialOwner(Kind[SpecT]):
    """A kind whose object in n8n is a credential."""

    collection: ClassVar[str | None] = "credentials"
    keeps_removed: ClassVar[bool] = False

    def marker(self, object_: Object) -> str | None:
        """Find our marker in a credential's name."""
        return marker(object_)

    async def create(self, api: Api, address: Address, body: Object) -> Object:
        """Create the credential."""
        del address
        return await create(api, body)

    async def update(self, api: Api, known: Known, body: Object) -> Written:
        """Replace the credential's name and data."""
        return await update(api, known, body)

    async def publish(self, api: Api, written: Written, body: Object, label: str) -> Object:
        """A credential is live as soon as it is written."""
        del api, body, label
        return written.object

    async def confirm(self, api: Api, object_: Object, body: Object) -> None:
        """A credential is live as soon as it is written."""

    async def remove(self, api: Api, id_: str) -> None:
        """Delete the credential; the encrypted row stays, out of use."""
        await remove(api, id_)

    async def discard(self, api: Api, id_: str) -> None:
        """Delete a credential that was replaced."""
        await remove(api, id_)
