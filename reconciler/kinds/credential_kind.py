"""How a credential becomes an encrypted row and a credential in n8n.

Secrets are leaves (`Sealed`) until the moment of writing. n8n never shows what
it holds; a rotated secret is seen by its fingerprint in our own row, an edit in
n8n by the time of its last change (except where n8n itself refreshes tokens).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from reconciler.kinds import _credentials
from reconciler.kinds._sealed import stored
from reconciler.kinds.credential import CredentialSpec, SecretField
from reconciler.kinds.kind import Built, Facts, Seen, Tools
from reconciler.plan.traits import Traits
from reconciler.resource.address import Address
from reconciler.resource.payload import Object, Payload, Ref, Side, Value


class CredentialKind(_credentials.CredentialOwner[CredentialSpec]):
    """Access to an outside service."""

    name: ClassVar[str] = "Credential"
    spec = CredentialSpec
    tables: ClassVar[tuple[str, ...]] = ("integration_credentials",)
    encrypts: ClassVar[bool] = True
    traits: ClassVar[Traits] = Traits(
        has_object=True,
        immutable=frozenset({("n8n", "type")}),
        write_only=(("n8n", "data"),),
        closed=(("row", "credentialData"),),
    )

    def build(self, address: Address, spec: CredentialSpec, facts: Facts) -> Built:
        """Say what PostgreSQL and n8n should hold; unset secrets block the first write only."""
        data: dict[str, Value] = {}
        missing: list[str] = []
        for field, value in spec.data.items():
            if isinstance(value, SecretField):
                data[field] = facts.seal(address, field, value.secret_ref)
                reason = facts.missing(value.secret_ref)
                missing += [reason] if reason else []
            else:
                data[field] = value
        row: Payload = {
            "orgId": Ref(
                Address(address.organization, "Organization", address.organization), Side.ROW
            ),
            "user": spec.owner.lower(),
            "provider": spec.provider.value,
            "credentialName": spec.title or address.name,
            "credentialData": data,
            "scope": spec.scope,
            "isActive": True,
        }
        n8n: Payload
        if spec.existing is not None:
            given = spec.existing.model_dump(exclude_none=True, include={"id", "name", "type"})
            n8n = {"existing": given}
        else:
            n8n = {
                "name": f"{address.organization}/{address.name}",
                "marker": Ref(address, Side.ROW),
                "type": spec.credential_type,
                "data": dict(data),
                "edited": False,
            }
        return Built(payload={"row": row, "n8n": n8n}, blocked="; ".join(missing) or None)

    def canonical(self, seen: Seen) -> Payload:
        """Read the row (opening the envelope for fingerprints only) and the n8n object."""
        payload: Payload = {}
        row = seen.rows.get("integration_credentials")
        if row is not None:
            payload["row"] = {
                "orgId": seen.unref("Organization", Side.ROW, str(row["orgId"])),
                "user": row["user"],
                "provider": row["provider"],
                "credentialName": row["credentialName"],
                "credentialData": stored(seen, "credentialData", str(row["credentialData"])),
                "scope": row["scope"],
                "isActive": row["isActive"],
            }
        if seen.object is not None:
            payload["n8n"] = _credentials.canonical(seen, seen.object)
        return payload

    def columns(self, row: Object, tools: Tools) -> Mapping[str, Mapping[str, Any]]:
        """Put the data into the envelope."""
        text = json.dumps(row["credentialData"], sort_keys=True, separators=(",", ":"))
        columns = {**row, "credentialData": tools.encrypt(text)}
        return {"integration_credentials": columns}

    def retire(self, row_id: str, payload: Payload) -> Mapping[str, Any]:
        """Take a removed row out of use and free its name, which is unique per owner and provider."""
        row = payload.get("row")
        name = row.get("credentialName") if isinstance(row, dict) else None
        return {"isActive": False, "credentialName": f"{name or 'credential'} (removed {row_id})"}
