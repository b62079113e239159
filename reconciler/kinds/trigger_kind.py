"""How a trigger becomes a row; the runtime serves it, n8n does not know it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil
from typing import Any, ClassVar

from reconciler.kinds._sealed import stored
from reconciler.kinds.kind import Built, Facts, RowKind, Seen, Tools
from reconciler.kinds.trigger import Auth, TriggerSpec
from reconciler.plan.traits import Traits
from reconciler.resource.address import Address
from reconciler.resource.payload import Object, Payload, Ref, Side, Value
from reconciler.spec.secretref import SecretRef
from reconciler.trigger.events import TriggerType

_PLAIN = (
    "name",
    "triggerType",
    "triggerEvent",
    "cronSchedule",
    "eventFilters",
    "isActive",
    "timezone",
    "misfire",
    "overlap",
    "jitter",
    "auth",
)
# The scheduler's own columns, which a spec says nothing about: what is switched off is forgotten, so
# that it begins anew when it is switched on, also when no daemon runs in between.
_OUT_OF_USE: Mapping[str, Any] = {"scheduleDigest": None, "nextFireAt": None, "scheduleError": None}


class TriggerKind(RowKind[TriggerSpec]):
    """What starts an automation."""

    name: ClassVar[str] = "Trigger"
    spec = TriggerSpec
    tables: ClassVar[tuple[str, ...]] = ("workflow_triggers",)
    encrypts: ClassVar[bool] = True
    traits: ClassVar[Traits] = Traits(
        has_object=False,
        closed=(("row", "eventFilters"), ("row", "auth"), ("row", "authSecrets")),
    )

    def build(self, address: Address, spec: TriggerSpec, facts: Facts) -> Built:
        """Say what the row should hold."""
        organization = address.organization
        automation = Address(organization, "Automation", spec.automation)
        own_name = address.name.removeprefix(f"{spec.automation}.")
        is_webhook, is_schedule = (
            spec.type is TriggerType.WEBHOOK,
            spec.type is TriggerType.SCHEDULE,
        )
        secrets: dict[str, Value] = {}
        missing: list[str] = []
        for number, reference in enumerate(secret_references(spec.auth)):
            secrets[str(number)] = facts.seal(address, str(number), reference)
            reason = facts.missing(reference)
            missing += [reason] if reason else []
        row: Payload = {
            "orgId": Ref(Address(organization, "Organization", organization), Side.ROW),
            "automationId": Ref(automation, Side.ROW),
            "name": own_name,
            "triggerType": spec.type.value,
            "triggerEvent": spec.event_name,
            "webhookUrl": webhook_url(facts.public_url, own_name) if is_webhook else None,
            "cronSchedule": spec.cron,
            "eventFilters": spec.filters,
            "isActive": spec.active,
            "timezone": spec.timezone if is_schedule else None,
            "misfire": spec.misfire.value if is_schedule else None,
            "overlap": spec.overlap.value if is_schedule else None,
            "jitter": None if spec.jitter is None else ceil(spec.jitter.total_seconds()),
            "auth": _auth(spec) if is_webhook else None,
            "authSecrets": secrets,
        }
        return Built(payload={"row": row}, blocked="; ".join(missing) or None)

    def canonical(self, seen: Seen) -> Payload:
        """Read the row."""
        row = seen.rows.get("workflow_triggers")
        if row is None:
            return {}
        automation = str(row["automationId"])
        payload: Payload = {column: row[column] for column in _PLAIN}
        payload["orgId"] = seen.unref("Organization", Side.ROW, str(row["orgId"]))
        payload["automationId"] = seen.unref("Automation", Side.ROW, automation)
        url = row["webhookUrl"]
        payload["webhookUrl"] = None if url is None else url.replace(automation, "{automation}")
        sealed = row["authSecrets"]
        payload["authSecrets"] = {} if sealed is None else stored(seen, "authSecrets", sealed)
        return {"row": payload}

    def columns(self, row: Object, tools: Tools) -> Mapping[str, Mapping[str, Any]]:
        """Put the secrets into the envelope and the automation's id into the address."""
        url, secrets = row["webhookUrl"], row["authSecrets"]
        columns: dict[str, Any] = dict(row)
        if isinstance(url, str):
            columns["webhookUrl"] = url.replace("{automation}", str(row["automationId"]))
        text = json.dumps(secrets, sort_keys=True, separators=(",", ":"))
        columns["authSecrets"] = tools.encrypt(text) if secrets else None
        if not row["isActive"]:
            columns |= _OUT_OF_USE
        return {"workflow_triggers": columns}

    def retire(self, row_id: str, payload: Payload) -> Mapping[str, Any]:
        """Take a removed row out of use, and its name, which the automation may give to another."""
        del row_id, payload
        return {"isActive": False, "name": None, **_OUT_OF_USE}


def webhook_url(public_url: str, trigger: str | None) -> str:
    """Write the address of a webhook, with a place for the automation's id."""
    base = f"{public_url.rstrip('/')}/api/webhooks/automation/{{automation}}"
    return base if trigger is None else f"{base}/{trigger}"


def secret_references(auth: Auth | None) -> tuple[SecretRef, ...]:
    """List a webhook's live secrets, in order."""
    if auth is None:
        return ()
    if auth.secret_ref is not None:
        return (auth.secret_ref,)
    return tuple(secret.secret_ref for secret in auth.secrets)


def _auth(spec: TriggerSpec) -> Value:
    auth = spec.auth
    if auth is None:
        return None
    ends: list[Value] = [s.not_after.isoformat() if s.not_after else None for s in auth.secrets]
    methods: list[Value] = [method.value for method in spec.methods]
    return {
        "scheme": auth.scheme.value,
        "header": auth.header,
        "methods": methods,
        "notAfter": ends or ([None] if auth.secret_ref else []),
    }
