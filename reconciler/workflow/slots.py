"""Which credential types a node asks for, by its type and its parameters.

This is what n8n checks before it publishes: a required credential whose
condition holds for the parameters as they are written.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.resource.payload import Value
from reconciler.workflow.catalog import CredentialSlot, NodeCatalog

_BY_PARAMETER = {
    "predefinedCredentialType": "nodeCredentialType",
    "genericCredentialType": "genericAuthType",
}


def required(node: Mapping[str, Value], catalog: NodeCatalog) -> frozenset[str]:
    """The credential types without which the node can't be published or can't run."""
    slots = _slots(node, catalog)
    shown = (slot.type for slot in slots if slot.required and not _hidden(slot, node, absent=True))
    return frozenset({*shown, *_chosen(node)})


def asked(node: Mapping[str, Value], catalog: NodeCatalog) -> frozenset[str]:
    """The credential types that the node uses as its parameters are: required, optional, chosen."""
    shown = (s.type for s in _slots(node, catalog) if not _hidden(s, node, absent=True))
    return frozenset({*shown, *_chosen(node)})


def stale(node: Mapping[str, Value], kind: str, catalog: NodeCatalog) -> bool:
    """Whether the credential type *kind* is a leftover: the node's parameters chose another one."""
    slots = [slot for slot in _slots(node, catalog) if slot.type == kind]
    return bool(slots) and all(_hidden(slot, node, absent=False) for slot in slots)


def _parameters(node: Mapping[str, Value]) -> dict[str, Value]:
    parameters = node.get("parameters")
    return parameters if isinstance(parameters, dict) else {}


def _chosen(node: Mapping[str, Value]) -> set[str]:
    values = _parameters(node)
    chosen = values.get(_BY_PARAMETER.get(str(values.get("authentication")), ""))
    return {chosen} if isinstance(chosen, str) and chosen and not chosen.startswith("=") else set()


def _slots(node: Mapping[str, Value], catalog: NodeCatalog) -> tuple[CredentialSlot, ...]:
    known = catalog.get(node.get("type"))
    variant = known.variant(node.get("typeVersion")) if known else None
    return variant.credentials if variant else ()


def _hidden(slot: CredentialSlot, node: Mapping[str, Value], *, absent: bool) -> bool:
    """Whether the parameters rule *slot* out; *absent* is the answer for one that isn't written."""
    values = _parameters(node)
    for name, allowed in slot.show.items():
        value = values.get(name, slot.defaults.get(name))
        if isinstance(value, str) and value.startswith("="):
            return False
        if absent if value is None else value not in allowed:
            return True
    return False
