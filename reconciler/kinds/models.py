"""The spec models of all kinds, by the word that stands behind `kind:` in a document."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from reconciler.kinds.automation import AutomationSpec
from reconciler.kinds.credential import CredentialSpec
from reconciler.kinds.organization import OrganizationSpec
from reconciler.kinds.template import TemplateSpec
from reconciler.kinds.trigger import TriggerSpec
from reconciler.spec.model import Spec

MODELS: Final[Mapping[str, type[Spec]]] = MappingProxyType(
    {
        "Organization": OrganizationSpec,
        "Credential": CredentialSpec,
        "Template": TemplateSpec,
        "Automation": AutomationSpec,
        "Trigger": TriggerSpec,
    }
)
