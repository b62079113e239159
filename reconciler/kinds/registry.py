"""The registry of resource kinds: one line per kind, what is referred to first."""

from __future__ import annotations

from reconciler.kinds.automation_kind import AutomationKind
from reconciler.kinds.credential_kind import CredentialKind
from reconciler.kinds.kind import AnyKind, Kinds
from reconciler.kinds.organization_kind import OrganizationKind
from reconciler.kinds.template_kind import TemplateKind
from reconciler.kinds.trigger_kind import TriggerKind

_ALL: tuple[AnyKind, ...] = (
    OrganizationKind(),
    CredentialKind(),
    TemplateKind(),
    AutomationKind(),
    TriggerKind(),
)
KINDS: Kinds = {kind.name: kind for kind in _ALL}
