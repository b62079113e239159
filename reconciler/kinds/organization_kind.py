"""How an organization becomes a row, its memberships, and its entry credential in n8n.

The entry credential is what n8n asks our runtime for at each managed entry of
the organization; its secret is derived from ENCRYPTION_KEY and stored nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from reconciler.kinds import _credentials
from reconciler.kinds.kind import Built, Facts, Seen, Tools
from reconciler.kinds.organization import OrganizationSpec
from reconciler.plan.traits import Traits
from reconciler.resource.address import Address
from reconciler.resource.payload import Object, Payload, Ref, Side
from reconciler.workflow.entry import ENTRY_HEADER


class OrganizationKind(_credentials.CredentialOwner[OrganizationSpec]):
    """A tenant."""

    name: ClassVar[str] = "Organization"
    spec = OrganizationSpec
    tables: ClassVar[tuple[str, ...]] = ("organization", "memberships")
    encrypts: ClassVar[bool] = False
    traits: ClassVar[Traits] = Traits(
        has_object=True,
        write_only=(("n8n", "data"),),
        closed=(("row", "members"),),
    )

    def build(self, address: Address, spec: OrganizationSpec, facts: Facts) -> Built:
        """Say what PostgreSQL and n8n should hold."""
        payload: Payload = {
            "row": {
                "name": spec.title,
                "members": {m.email.lower(): m.role.value for m in spec.members},
            },
            "n8n": {
                "name": f"reconciler entry of {address.organization}",
                "marker": Ref(address, Side.ROW),
                "type": "httpHeaderAuth",
                "data": {
                    "name": ENTRY_HEADER,
                    "value": facts.entry_secret(address.organization),
                },
                "edited": False,
            },
        }
        return Built(payload=payload, row_id=spec.id)

    def canonical(self, seen: Seen) -> Payload:
        """Read the row, the memberships and the entry credential."""
        payload: Payload = {}
        row = seen.rows.get("organization")
        if row is not None:
            members = seen.rows.get("memberships", {}).get("members", {})
            payload["row"] = {"name": row.get("name"), "members": dict(members)}
        if seen.object is not None:
            payload["n8n"] = _credentials.canonical(seen, seen.object)
        return payload

    def columns(self, row: Object, tools: Tools) -> Mapping[str, Mapping[str, Any]]:
        """Split the row side into the two tables."""
        del tools
        return {"organization": {"name": row["name"]}, "memberships": {"members": row["members"]}}

    def retire(self, row_id: str, payload: Payload) -> Mapping[str, Any]:
        """Take a removed row out of use."""
        del row_id, payload
        return {}
