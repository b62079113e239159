"""Walking a document's connections. Not here: changing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from reconciler.resource.payload import Value


class Edge(NamedTuple):
    """One connection: an output of *source* feeds an input of *target*."""

    source: str
    kind: str
    output: int
    at: int
    target: str


def edges(document: Mapping[str, Value]) -> Iterator[Edge]:
    """Yield each connection of a document in normal form."""
    connections = document.get("connections")
    for source, by_kind in (connections if isinstance(connections, dict) else {}).items():
        for kind, outputs in (by_kind if isinstance(by_kind, dict) else {}).items():
            for output, targets in enumerate(outputs if isinstance(outputs, list) else []):
                for at, target in enumerate(targets if isinstance(targets, list) else []):
                    if isinstance(target, dict) and isinstance(name := target.get("node"), str):
                        yield Edge(source, kind, output, at, name)


def downstream(document: Mapping[str, Value], starts: Iterable[str]) -> set[str]:
    """All nodes that main connections lead to from *starts* (which are only in it when in a loop)."""
    following: dict[str, list[str]] = {}
    for edge in edges(document):
        if edge.kind == "main":
            following.setdefault(edge.source, []).append(edge.target)
    seen: set[str] = set()
    queue = list(starts)
    while queue:
        for name in following.get(queue.pop(), ()):
            if name not in seen:
                seen.add(name)
                queue.append(name)
    return seen
