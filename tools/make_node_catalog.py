"""Write reconciler/workflow/nodes.json from an installed n8n.

Run: ``python -m tools.make_node_catalog NODE_MODULES`` where NODE_MODULES is the
folder that holds ``n8n``, ``n8n-nodes-base`` and ``@n8n/n8n-nodes-langchain``.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

from reconciler.workflow.catalog import NodeCatalog, NodeType

PACKAGES = ("n8n-nodes-base", "@n8n/n8n-nodes-langchain")
NOT_FOR_USERS = {"n8n-nodes-base.e2eTest", "n8n-nodes-base.dynamicCredentialCheck"}
TARGET = Path(__file__).resolve().parents[1] / "reconciler" / "workflow" / "nodes.json"


def main() -> None:
    """Read the packages named on the command line and write the catalog."""
    modules = Path(sys.argv[1])
    version = json.loads((modules / "n8n" / "package.json").read_text("utf-8"))["version"]
    excluded = excluded_by_default(modules)
    types: dict[str, NodeType] = {}
    for package in PACKAGES:
        folder = modules / package / "dist" / "types"
        descriptions = json.loads((folder / "nodes.json").read_text("utf-8"))
        catalog = NodeCatalog.from_descriptions(
            with_tools(descriptions), source=f"n8n {version}", package=package
        )
        strict = versioned(modules / package, package)
        types |= {
            name: dataclasses.replace(one, strict=base_of(name) in strict)
            for name, one in catalog.types.items()
        }
    for name in list(types):
        if base_of(name) in NOT_FOR_USERS:
            del types[name]
        elif base_of(name) in excluded:
            types[name] = dataclasses.replace(types[name], excluded=True)
    catalog = NodeCatalog(source=f"n8n {version}", types=types)
    packed = catalog.to_json()
    lines = [
        f"  {json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}"
        for name, value in packed["types"].items()
    ]
    body = ",\n".join(lines)
    TARGET.write_text(
        f'{{"source": {json.dumps(catalog.source)}, "types": {{\n{body}\n}}}}\n', "utf-8"
    )
    sys.stdout.write(f"{TARGET}: {len(types)} node types of {catalog.source}\n")


def with_tools(descriptions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the tool types that n8n derives from ordinary nodes when it starts."""
    derived = []
    for one in descriptions:
        if one.get("usableAsTool"):
            derived.append({**one, "name": f"{one['name']}Tool"})
        if any("$nodeId" in str(hook.get("path")) for hook in one.get("webhooks") or []):
            derived.append({**one, "name": f"{one['name']}HitlTool"})
    return [*descriptions, *derived]


def base_of(name: str) -> str:
    """The ordinary node that a tool type is derived from."""
    return name.removesuffix("Tool").removesuffix("Hitl") if name.endswith("Tool") else name


def versioned(folder: Path, package: str) -> set[str]:
    """The node types whose class refuses versions that it doesn't know."""
    known = json.loads((folder / "dist" / "known" / "nodes.json").read_text("utf-8"))
    found = set()
    for name, one in known.items():
        if "VersionedNodeType" in (folder / one["sourcePath"]).read_text("utf-8"):
            found |= {f"{package}.{name}", base_of(f"{package}.{name}")}
    return found


def excluded_by_default(modules: Path) -> set[str]:
    """The node types that n8n's default for NODES_EXCLUDE leaves out."""
    config = modules / "@n8n" / "config" / "dist" / "configs" / "nodes.config.js"
    found = re.search(r"this\.exclude = \[([^\]]*)\]", config.read_text("utf-8"))
    return set(re.findall(r"'([^']+)'", found.group(1))) if found else set()


if __name__ == "__main__":
    main()
