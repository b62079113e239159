"""What changed between two versions of a workflow, in the words of its author.

For rendering plans. Not here: deciding anything.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.resource.payload import Value, digest, flatten

Change = Literal["added", "removed", "changed", "moved", "renamed"]
Path = tuple[str, ...]

_CODE = {
    "code",
    "functionCode",
    "html",
    "jsCode",
    "jsonBody",
    "jsonOutput",
    "jsonSchema",
    "pythonCode",
    "query",
    "text",
}
_LONG = 80  # characters: a text with this length or a second line is shown as a text diff
_PLACE = "position"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """How one node differs; *fields* are the paths inside it that do."""

    name: str
    change: Change
    was: str | None = None  # the old name of a renamed node
    fields: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeDiff:
    """A changed text such as code, as the lines of a unified diff without its file header."""

    path: Path
    lines: tuple[str, ...]


def node_changes(old: Mapping[str, Value], new: Mapping[str, Value]) -> tuple[NodeChange, ...]:
    """Compare two `nodes` objects; a node with a new name and nothing else new counts as renamed."""
    changes: list[NodeChange] = []
    gone = {name: node for name, node in old.items() if name not in new}
    for name, node in new.items():
        if name in old:
            fields = changed_fields(old[name], node)
            if fields:
                moved = all(path[:1] == (_PLACE,) for path in fields)
                changes.append(
                    NodeChange(name=name, change="moved" if moved else "changed", fields=fields)
                )
        elif was := _same(node, gone):
            del gone[was]
            changes.append(NodeChange(name=name, change="renamed", was=was))
        else:
            changes.append(NodeChange(name=name, change="added"))
    changes += [NodeChange(name=name, change="removed") for name in gone]
    return tuple(sorted(changes, key=lambda one: one.name))


def changed_fields(old: Value, new: Value) -> tuple[Path, ...]:
    """The paths at which two values differ, sorted."""
    before, after = flatten(old), flatten(new)
    missing = object()
    found = sorted(
        path
        for path in before.keys() | after.keys()
        if before.get(path, missing) != after.get(path, missing)
    )
    # An object that was empty and is not any more: what is in it says enough.
    inner = {path[:depth] for path in found for depth in range(len(path))}
    return tuple(path for path in found if path not in inner)


def code_diff(old: Value, new: Value) -> tuple[CodeDiff, ...]:
    """The changed texts inside two nodes, parameters or payloads that read best line by line."""
    before, after = flatten(old), flatten(new)
    return tuple(
        CodeDiff(path=path, lines=text_diff(*map(_text, (before.get(path), after.get(path)))))
        for path in changed_fields(old, new)
        if is_code(path, before.get(path), after.get(path))
    )


def is_code(path: Sequence[str], old: Value, new: Value) -> bool:
    """Whether a change at *path* is worth a text diff: code, queries, anything long."""
    texts = [value for value in (old, new) if isinstance(value, str)]
    others = [value for value in (old, new) if value is not None and not isinstance(value, str)]
    if not texts or others:
        return False
    named = bool(path) and path[-1] in _CODE
    return any(
        "\n" in text or len(text) > _LONG or (named and len(text) > _LONG // 2) for text in texts
    )


def text_diff(old: str, new: str, *, context: int = 2) -> tuple[str, ...]:
    """A unified diff, from the first ``@@`` on, of two texts; empty when they are equal."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=context, lineterm="")
    found = tuple(lines)[2:]
    if not found and old != new:
        return ("@@ only the ends of lines differ @@",)
    return found


def lines_changed(diff: CodeDiff) -> tuple[int, int]:
    """How many lines a diff adds and removes."""
    return _count(diff.lines, "+"), _count(diff.lines, "-")


def _count(lines: Sequence[str], sign: str) -> int:
    return sum(line.startswith(sign) for line in lines)


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _same(node: Value, candidates: Mapping[str, Value]) -> str | None:
    wanted = _content(node)
    for name, candidate in candidates.items():
        if _content(candidate) == wanted:
            return name
    return None


def _content(node: Value) -> str:
    if isinstance(node, dict):
        node = {key: value for key, value in node.items() if key not in (_PLACE, "webhookId")}
    return digest(node)
