"""The normal form of a workflow's connections. Not here: whether they lead anywhere (`lint`)."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.resource.payload import Value
from reconciler.workflow.finding import Notes, Path
from reconciler.workflow.values import clean_text

_EDGE_KEYS = {"node", "type", "index"}


def clean_connections(raw: object, path: Path, notes: Notes) -> dict[str, Value]:
    """Give {source: {type: [[{node, type, index}, ...], ...]}} without empty parts."""
    if raw is None or raw == []:
        return {}
    if not isinstance(raw, dict):
        notes.error("WFL105", path, "connections must be an object keyed by node name")
        return {}
    result: dict[str, Value] = {}
    for source in sorted(key for key in raw if isinstance(key, str)):
        by_type = raw[source]
        if not by_type:
            continue
        if not isinstance(by_type, dict):
            notes.error("WFL105", (*path, source), "must be an object keyed by connection type")
            continue
        outputs = {
            kind: cleaned
            for kind in sorted(key for key in by_type if isinstance(key, str))
            if (cleaned := _outputs(by_type[kind], (*path, source, kind), notes))
        }
        if outputs:
            result[clean_text(source, path, notes)] = dict(outputs)
    return result


def _outputs(raw: object, path: Path, notes: Notes) -> list[Value]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        notes.error("WFL105", path, "must be a list with one list for each output")
        return []
    outputs: list[Value] = []
    for at, edges in enumerate(raw):
        if edges is None:
            outputs.append([])
        elif isinstance(edges, list):
            outputs.append(_edges(edges, (*path, at), notes))
        else:
            notes.error("WFL105", (*path, at), "must be a list of connections")
            outputs.append([])
    while outputs and not outputs[-1]:
        outputs.pop()
    return outputs


def _edges(raw: list[object], path: Path, notes: Notes) -> list[Value]:
    edges: list[Value] = []
    for at, edge in enumerate(raw):
        match edge:
            case {"node": str(node), **rest} if node and _sound(rest):
                for key in rest.keys() - _EDGE_KEYS:
                    notes.drop((*path, at, str(key)), "n8n's connections don't have this key")
                index = rest.get("index")
                edges.append(
                    {
                        "node": clean_text(node, (*path, at), notes),
                        "type": str(rest.get("type") or "main"),
                        "index": int(index) if isinstance(index, (int, float)) else 0,
                    }
                )
            case None:
                notes.drop((*path, at), "an empty connection")
            case _:
                notes.error("WFL105", (*path, at), "must be an object with node, type and index")
    return edges


def _sound(rest: Mapping[object, object]) -> bool:
    kind, index = rest.get("type"), rest.get("index")
    numbered = index is None or (
        isinstance(index, (int, float))
        and not isinstance(index, bool)
        and index >= 0
        and float(index).is_integer()
    )
    return numbered and (kind is None or isinstance(kind, str))
