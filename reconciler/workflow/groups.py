"""The frames that people draw around nodes in n8n's editor (``nodeGroups``).

They are the editor's and not part of the normal form, but an update that
leaves one in an impossible state is refused as a whole: n8n checks that its
nodes exist and hang together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.resource.payload import Json, Value
from reconciler.workflow.graph import Edge, edges
from reconciler.workflow.normal import normalize
from reconciler.workflow.wire import node_ids

_KEYS = ("id", "name", "description", "nodeIds")


def kept_groups(
    live: Mapping[str, Json], nodes: Sequence[Value], connections: Mapping[str, Value]
) -> list[Json] | None:
    """The ``nodeGroups`` to send with an update of *live*; None when it has none to care for.

    A group stays when all its nodes keep their ids and their connections; otherwise it goes.
    """
    groups = live.get("nodeGroups")
    if not isinstance(groups, list) or not groups:
        return None
    names = {id_: name for name, id_ in node_ids(live).items()}
    sent = {node.get("id"): node.get("name") for node in nodes if isinstance(node, dict)}
    before = list(edges(normalize(live).document))
    after = list(edges({"connections": dict(connections)}))
    kept: list[Json] = []
    for group in groups:
        members = group.get("nodeIds") if isinstance(group, dict) else None
        if not isinstance(group, dict) or not isinstance(members, list):
            continue
        inside = {names.get(str(id_), "") for id_ in members}
        stays = all(str(id_) in names and sent.get(str(id_)) for id_ in members)
        if stays and _touching(before, inside) == _touching(after, inside):
            kept.append({key: group[key] for key in _KEYS if group.get(key) is not None})
    return kept


def _touching(every: Sequence[Edge], names: set[str]) -> list[Edge]:
    return sorted(edge for edge in every if edge.source in names or edge.target in names)
