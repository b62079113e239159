"""How a template becomes a row; n8n does not know templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from reconciler.kinds.kind import Built, Facts, RowKind, Seen, Tools
from reconciler.kinds.template import TemplateSpec
from reconciler.plan.traits import Traits
from reconciler.resource.address import Address
from reconciler.resource.payload import Object, Payload

_COLUMNS = (
    "name",
    "description",
    "category",
    "difficulty",
    "n8nWorkflowJson",
    "thumbnailUrl",
    "demoVideoUrl",
    "requiredIntegrations",
    "tags",
    "isOfficial",
)


class TemplateKind(RowKind[TemplateSpec]):
    """A workflow to make automations from."""

    name: ClassVar[str] = "Template"
    spec = TemplateSpec
    tables: ClassVar[tuple[str, ...]] = ("automation_templates",)
    encrypts: ClassVar[bool] = False
    traits: ClassVar[Traits] = Traits(has_object=False)

    def build(self, address: Address, spec: TemplateSpec, facts: Facts) -> Built:
        """Say what the catalogue's row should hold."""
        raw = facts.workflow(address)
        findings = facts.checked(address, managed=True)
        row: Payload = {
            "name": spec.title,
            "description": spec.description,
            "category": spec.category.value,
            "difficulty": spec.difficulty.value,
            "n8nWorkflowJson": json.dumps(raw, indent=2, sort_keys=True, ensure_ascii=False),
            "thumbnailUrl": spec.thumbnail_url,
            "demoVideoUrl": spec.demo_video_url,
            "requiredIntegrations": list(spec.required_integrations),
            "tags": list(spec.tags),
            "isOfficial": spec.official,
            "published": True,
        }
        return Built(payload={"row": row}, findings=findings)

    def canonical(self, seen: Seen) -> Payload:
        """Read the row."""
        row = seen.rows.get("automation_templates")
        if row is None:
            return {}
        listed: Payload = {column: row[column] for column in _COLUMNS}
        return {"row": {**listed, "published": row["publishedAt"] is not None}}

    def columns(self, row: Object, tools: Tools) -> Mapping[str, Mapping[str, Any]]:
        """Date the publication."""
        columns = {column: row[column] for column in _COLUMNS}
        return {"automation_templates": {**columns, "publishedAt": tools.now}}

    def retire(self, row_id: str, payload: Payload) -> Mapping[str, Any]:
        """Take a removed row out of use."""
        del row_id, payload
        return {"publishedAt": None}
