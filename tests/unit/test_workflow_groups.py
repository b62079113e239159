"""Frames in n8n's editor must not make an update fail, nor vanish without need."""

from __future__ import annotations

from typing import Any

from reconciler.workflow.groups import kept_groups
from reconciler.workflow.normal import nodes_of, normalize
from reconciler.workflow.wire import node_ids, to_wire
from tests.unit.workflow_samples import link, node, workflow

LIVE: dict[str, Any] = workflow(
    node("A", "set"),
    node("B", "set"),
    node("C", "set"),
    connections={"A": link("B"), "B": link("C")},
    nodeGroups=[
        {"id": "g1", "name": "first", "nodeIds": ["id of A"], "description": None},
        {"id": "g2", "name": "both", "nodeIds": ["id of B", "id of C"]},
    ],
)


def update(raw: dict[str, Any], *, keep_ids: bool = True) -> Any:
    document = normalize(raw).document
    links: Any = document["connections"]
    ids = node_ids(LIVE) if keep_ids else None
    nodes, connections = to_wire(nodes_of(document), links, "acme/Automation/a", ids=ids)
    return kept_groups(LIVE, nodes, connections)


def test_a_workflow_without_groups_needs_nothing() -> None:
    assert kept_groups(workflow(), [], {}) is None


def test_groups_stay_when_their_nodes_do() -> None:
    assert update(LIVE) == [
        {"id": "g1", "name": "first", "nodeIds": ["id of A"]},
        {"id": "g2", "name": "both", "nodeIds": ["id of B", "id of C"]},
    ]


def test_a_group_goes_with_one_of_its_nodes() -> None:
    raw = {**LIVE, "nodes": LIVE["nodes"][:2], "connections": {"A": link("B")}}

    assert [group["id"] for group in update(raw)] == ["g1"]


def test_a_group_goes_when_its_nodes_are_connected_otherwise() -> None:
    assert update({**LIVE, "connections": {"A": link("B", "C"), "B": link("C")}}) == []
    assert [group["id"] for group in update({**LIVE, "connections": {"A": link("B")}})] == ["g1"]


def test_all_groups_go_when_the_nodes_get_new_ids() -> None:
    assert update(LIVE, keep_ids=False) == []
