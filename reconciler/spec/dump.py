"""Write documents as YAML, for the commands that make spec files. Not here: editing a user's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from reconciler.spec.document import API_VERSION

MODELINE: Final = "# yaml-language-server: $schema="


class _Dumper(yaml.SafeDumper):
    """Block style, indented lists, texts quoted where YAML 1.1 readers would misread them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(
    kind: str, name: str, spec: Mapping[str, Any], *, organization: str | None, schema: str | None
) -> str:
    """Write one document; *schema* is the path of its JSON Schema for the editor's modeline."""
    metadata = {"name": name, **({"organization": organization} if organization else {})}
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    head = f"{MODELINE}{schema}\n" if schema else ""
    return head + text
