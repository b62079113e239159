"""Which node types an n8n has, and what matters about them to us.

The list of n8n 2.40.5 is shipped beside this module (``nodes.json``, written by
``tools/make_node_catalog.py``); a running n8n's own list can be put in its
place. Not here: the parameters of the nodes.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

WebhookUse = Literal["none", "resume", "path", "id"]
"""How a node type uses its webhookId: not at all, never in a stable URL (it only
resumes runs), only where its path is empty or has variables, or in its URL."""

_WEBHOOK_CODES: Mapping[str, WebhookUse] = {"": "none", "r": "resume", "f": "path", "w": "id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSlot:
    """A credential type that a node type can use; *show* limits it to parameter values.

    *defaults* has the values of those parameters that are not written.
    """

    type: str
    required: bool
    show: Mapping[str, tuple[str | bool | int | float, ...]]
    defaults: Mapping[str, str | bool | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVariant:
    """One implementation of a node type, for some of its versions."""

    versions: tuple[int | float, ...]
    credentials: tuple[CredentialSlot, ...] = ()
    trigger: bool = False
    polling: bool = False
    webhook: WebhookUse = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeType:
    """A node type such as ``n8n-nodes-base.webhook``."""

    name: str
    variants: tuple[NodeVariant, ...]
    strict: bool = False  # n8n refuses a version it doesn't know; it runs other types all the same
    excluded: bool = False  # n8n leaves it out unless NODES_EXCLUDE says otherwise

    @property
    def versions(self) -> tuple[int | float, ...]:
        """All versions, ascending."""
        return tuple(sorted({number for one in self.variants for number in one.versions}))

    def variant(self, version: object) -> NodeVariant | None:
        """The implementation of *version*; None when there is no such version."""
        if isinstance(version, (int, float)) and not isinstance(version, bool):
            for one in self.variants:
                if version in one.versions:
                    return one
        return None

    @property
    def trigger(self) -> bool:
        """Whether the node starts runs."""
        return any(one.trigger for one in self.variants)

    @property
    def webhook(self) -> WebhookUse:
        """How the newest implementation uses its webhookId."""
        return max(self.variants, key=lambda one: max(one.versions)).webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCatalog:
    """The node types that one n8n has."""

    source: str  # such as "n8n 2.40.5"
    types: Mapping[str, NodeType]
    complete: bool = False  # asked from the n8n that is meant: what is not in it is not there

    def get(self, name: object) -> NodeType | None:
        """The node type *name*, or None."""
        return self.types.get(name) if isinstance(name, str) else None

    def has(self, name: object, version: object) -> bool:
        """Whether the node type *name* exists in *version*."""
        found = self.get(name)
        return found is not None and found.variant(version) is not None

    def suggest(self, name: str) -> str | None:
        """The node type most like *name*, or None when nothing comes near."""
        by_lower = {known.lower(): known for known in self.types}
        exact = by_lower.get(name.lower())
        if exact:
            return exact
        near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.8)
        return by_lower[near[0]] if near else None

    @classmethod
    def from_descriptions(
        cls, descriptions: Iterable[Mapping[str, Any]], *, source: str, package: str = ""
    ) -> NodeCatalog:
        """Read node descriptions: those of a running n8n, or of one package, which prefixes names."""
        collected: dict[str, list[NodeVariant]] = {}
        for one in descriptions:
            name = f"{package}.{one['name']}" if package else str(one["name"])
            collected.setdefault(name, []).append(_variant(one))
        types = {
            name: NodeType(name=name, variants=tuple(variants), strict=len(variants) > 1)
            for name, variants in collected.items()
        }
        return cls(source=source, types=types, complete=not package)

    def to_json(self) -> dict[str, Any]:
        """Encode compactly; `from_json` reads it back."""
        return {
            "source": self.source,
            "types": {
                name: ["x" * one.excluded + "s" * one.strict, *map(_pack, one.variants)]
                for name, one in sorted(self.types.items())
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NodeCatalog:
        """Decode what `to_json` wrote."""
        types = {}
        for name, packed in data["types"].items():
            types[name] = NodeType(
                name=name,
                variants=tuple(map(_unpack, packed[1:])),
                strict="s" in packed[0],
                excluded="x" in packed[0],
            )
        return cls(source=data["source"], types=types)


@functools.cache
def shipped_catalog() -> NodeCatalog:
    """The node types of the n8n that this release was made with; read once."""
    text = resources.files("reconciler.workflow").joinpath("nodes.json").read_text("utf-8")
    return NodeCatalog.from_json(json.loads(text))


def _variant(description: Mapping[str, Any]) -> NodeVariant:
    versions = description["version"]
    webhooks = description.get("webhooks") or []
    lasting = [one for one in webhooks if not one.get("restartWebhook")]
    webhook: WebhookUse = "none"
    if webhooks:
        webhook = "resume"
    if lasting:
        webhook = "path" if all(one.get("isFullPath") for one in lasting) else "id"
    return NodeVariant(
        versions=tuple(versions) if isinstance(versions, list) else (versions,),
        credentials=tuple(
            _slot(one, description.get("properties") or [])
            for one in description.get("credentials") or []
        ),
        trigger="trigger" in description.get("group", []),
        polling=bool(description.get("polling")),
        webhook=webhook,
    )


def _slot(credential: Mapping[str, Any], properties: list[Mapping[str, Any]]) -> CredentialSlot:
    show = (credential.get("displayOptions") or {}).get("show") or {}
    names = {name.removeprefix("/") for name in show}
    return CredentialSlot(
        type=credential["name"],
        required=bool(credential.get("required")),
        show={name.removeprefix("/"): tuple(values) for name, values in show.items()},
        defaults={
            one["name"]: one["default"]
            for one in properties
            if one["name"] in names and "default" in one and not one.get("displayOptions")
        },
    )


def _pack(one: NodeVariant) -> list[Any]:
    webhook = next(code for code, use in _WEBHOOK_CODES.items() if use == one.webhook)
    flags = "t" * one.trigger + "p" * one.polling + webhook
    slots = [_pack_slot(slot) for slot in one.credentials]
    packed: list[Any] = [list(one.versions), flags, slots]
    while packed and not packed[-1]:
        packed.pop()
    return packed


def _pack_slot(slot: CredentialSlot) -> list[Any]:
    show = {name: list(values) for name, values in slot.show.items()}
    packed = [slot.type, int(slot.required), show, dict(slot.defaults)]
    while not packed[-1] and len(packed) > 2:
        packed.pop()
    return packed


def _unpack(packed: list[Any]) -> NodeVariant:
    versions = packed[0]
    flags = packed[1] if len(packed) > 1 else ""
    slots = packed[2] if len(packed) > 2 else []
    return NodeVariant(
        versions=tuple(versions),
        credentials=tuple(map(_unpack_slot, slots)),
        trigger="t" in flags,
        polling="p" in flags,
        webhook=_WEBHOOK_CODES[flags.strip("tp")],
    )


def _unpack_slot(packed: list[Any]) -> CredentialSlot:
    return CredentialSlot(
        type=packed[0],
        required=bool(packed[1]),
        show={name: tuple(values) for name, values in packed[2].items()} if packed[2:] else {},
        defaults=packed[3] if packed[3:] else {},
    )
