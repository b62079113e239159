"""The normal form: what stays, what goes, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.workflow.finding import Dropped, dotted
from reconciler.workflow.normal import Normal, normalize
from tests.unit.workflow_samples import link, node, workflow


def codes(normal: Normal) -> list[str]:
    return [finding.code for finding in normal.findings]


def test_an_export_and_what_the_server_makes_of_it_are_equal() -> None:
    export = workflow(
        node("Start", "manualTrigger", typeVersion=1.0, disabled=False, notes=None),
        node("Set", "set", 3.4, parameters={"a": 1.0, "b": [2.0, 2.5]}, position=[10.0, 20]),
        connections={"Start": {"main": [[{"node": "Set", "type": "main", "index": 0}], [], None]}},
        settings={"executionOrder": "v1", "errorWorkflow": None},
    )
    served = {
        "id": "abc",
        "versionId": "1",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "active": True,
        "isArchived": False,
        "triggerCount": 0,
        "tags": [],
        "meta": None,
        "name": "a workflow",
        "nodes": [
            node("Set", "set", 3.4, id="x", parameters={"b": [2, 2.5], "a": 1}, position=[10, 20]),
            node("Start", "manualTrigger", id="y"),
        ],
        "connections": {"Start": link("Set"), "Set": {}},
        "settings": {"executionOrder": "v1", "binaryMode": "separate"},
    }

    assert normalize(served).document == normalize(export).document


def test_nodes_are_keyed_by_name_and_lose_their_ids() -> None:
    normal = normalize(workflow(node("B", "set"), node("A", "noOp")))

    assert list(normal.nodes) == ["A", "B"]
    assert "id" not in normal.nodes["A"]
    assert dict(normal.ids) == {"B": "id of B", "A": "id of A"}
    assert normal.at("A", "type") == ("nodes", 1, "type")


@pytest.mark.parametrize(
    "raw",
    [None, 3, "text", [], [1, 2], {}, {"nodes": 3}, {"nodes": None}, {"workflow": {"nodes": []}}],
)
def test_what_is_not_a_workflow_is_a_finding(raw: object) -> None:
    normal = normalize(raw)

    assert not normal.is_workflow
    assert codes(normal) == ["WFL101"]
    assert normal.document == {"nodes": {}, "connections": {}, "settings": {}}


def test_a_wrapped_workflow_is_recognised() -> None:
    (finding,) = normalize({"data": workflow()}).findings

    assert finding.message == 'the n8n workflow is inside "data"'


def test_the_list_of_one_that_the_n8n_command_writes_is_a_workflow() -> None:
    normal = normalize([workflow(node("A", "set"))])

    assert normal.is_workflow
    assert normal.at("A") == (0, "nodes", 0)


def test_two_nodes_of_one_name_are_a_finding_at_the_second() -> None:
    normal = normalize(workflow(node("A", "set"), node("A", "noOp")))

    assert [(f.code, f.path) for f in normal.findings] == [("WFL102", ("nodes", 1, "name"))]
    assert normal.nodes["A"]["type"] == "n8n-nodes-base.set"


@pytest.mark.parametrize(
    "broken, path",
    [
        ({"name": ""}, ("nodes", 0)),
        ({"name": 3}, ("nodes", 0)),
        ({"type": None}, ("nodes", 0, "type")),
        ({"typeVersion": "1"}, ("nodes", 0, "typeVersion")),
        ({"position": None}, ("nodes", 0, "position")),
        ({"position": ["0", 0]}, ("nodes", 0, "position")),
        ({"position": [0, 0, 0]}, ("nodes", 0, "position")),
        ({"parameters": "x"}, ("nodes", 0, "parameters")),
        ({"disabled": "yes"}, ("nodes", 0, "disabled")),
        ({"credentials": ["x"]}, ("nodes", 0, "credentials")),
        ({"credentials": {"slackApi": 3}}, ("nodes", 0, "credentials", "slackApi")),
        ({"maxTries": "3"}, ("nodes", 0, "maxTries")),
        ({"webhookId": 3}, ("nodes", 0, "webhookId")),
    ],
)
def test_wrong_types_in_a_node_are_errors(broken: dict[str, Any], path: tuple[Any, ...]) -> None:
    (finding,) = normalize(workflow(node("A", "set") | broken)).findings

    assert finding.is_error
    assert finding.path == path


@pytest.mark.parametrize(
    "connections",
    [
        "x",
        {"A": "x"},
        {"A": {"main": "x"}},
        {"A": {"main": ["x"]}},
        {"A": {"main": [["B"]]}},
        {"A": {"main": [[{"type": "main", "index": 0}]]}},
        {"A": {"main": [[{"node": "B", "type": "main", "index": -1}]]}},
        {"A": {"main": [[{"node": "B", "type": 3, "index": 0}]]}},
    ],
)
def test_wrong_types_in_connections_are_errors(connections: object) -> None:
    normal = normalize(workflow(node("A", "set"), connections=connections))

    assert codes(normal) == ["WFL105"]


def test_connections_lose_empty_outputs_and_keep_their_order() -> None:
    edge_b = {"node": "B", "type": "main", "index": 0}
    edge_a = {"node": "A", "index": 1.0}
    connections = {"S": {"main": [None, [edge_b, edge_a], [], []], "ai_tool": [[]]}, "T": {}}

    normal = normalize(workflow(connections=connections))

    assert normal.document["connections"] == {
        "S": {"main": [[], [edge_b, {"node": "A", "type": "main", "index": 1}]]}
    }


def test_settings_are_cut_to_what_the_public_api_keeps() -> None:
    normal = normalize(
        workflow(
            settings={
                "executionOrder": "v1",
                "executionTimeout": -1,
                "saveDataErrorExecution": "DEFAULT",
                "errorWorkflow": None,
                "timezone": "",
                "maxExecutions": 3,
                "redactionPolicy": "all",
                "saveManualExecutions": False,
            }
        )
    )

    assert normal.document["settings"] == {"executionOrder": "v1", "saveManualExecutions": False}
    assert [one.path[-1] for one in normal.dropped if not one.routine] == [
        "maxExecutions",
        "redactionPolicy",
    ]
    assert normal.findings == ()


@pytest.mark.parametrize(
    "key, value",
    [
        ("saveDataErrorExecution", "some"),
        ("executionTimeout", "60"),
        ("saveExecutionProgress", 1),
        ("callerPolicy", "everybody"),
        ("timezone", 3),
    ],
)
def test_a_setting_that_n8n_refuses_is_an_error(key: str, value: object) -> None:
    (finding,) = normalize(workflow(settings={key: value})).findings

    assert (finding.code, finding.path) == ("WFL106", ("settings", key))


def test_what_is_left_out_is_reported_with_a_reason() -> None:
    normal = normalize(
        workflow(
            node("A", "set", color="#ff0000", extendsCredential="x"),
            pinData={"A": [{}]},
            staticData=None,
            versionId="1",
            surprise=1,
        )
    )

    assert normal.dropped == (
        Dropped(("nodes", 0, "color"), "not a key of n8n's public API for nodes"),
        Dropped(("nodes", 0, "extendsCredential"), "not a key of n8n's public API for nodes"),
        Dropped(("pinData",), "pinned test data stays in the editor"),
        Dropped(("surprise",), "not a part of n8n's public API"),
        Dropped(("versionId",), "n8n's own bookkeeping", routine=True),
    )


@pytest.mark.parametrize(
    "written, kept",
    [
        ({"slackApi": {"id": "1", "name": "Mine"}}, {"slackApi": {"name": "Mine"}}),
        ({"slackApi": "Mine"}, {"slackApi": {"name": "Mine"}}),
        ({"slackApi": {"id": "1"}}, {"slackApi": {"name": ""}}),
        ({"slackApi": None}, None),
        ({}, None),
        ([], None),
    ],
)
def test_credentials_keep_their_names_only(written: object, kept: object) -> None:
    normal = normalize(workflow(node("A", "slack", credentials=written)))

    assert normal.nodes["A"].get("credentials") == kept


@pytest.mark.parametrize(
    "kind, parameters, kept",
    [
        ("webhook", {"path": "orders"}, False),  # its address is its path
        ("webhook", {"path": ""}, True),
        ("webhook", {"path": "orders/:id"}, True),
        ("webhook", {"path": "=/{{ 1 }}"}, True),
        ("formTrigger", {}, True),
        ("formTrigger", {"options": {"path": "apply"}}, False),
        ("telegramTrigger", {}, True),
        ("wait", {"resume": "webhook"}, False),  # only resumes runs
        ("set", {}, False),
        ("someOtherTrigger", {}, True),  # not known: better safe
    ],
)
def test_a_webhook_id_stays_where_it_is_part_of_an_address(
    kind: str, parameters: dict[str, Any], kept: bool
) -> None:
    raw = workflow(node("A", kind, 2, webhookId="w", parameters=parameters))

    assert ("webhookId" in normalize(raw).nodes["A"]) is kept
    assert "webhookId" not in normalize(raw, keep_webhook_ids=False).nodes["A"]


@pytest.mark.parametrize(
    "number, kept",
    [(1.0, 1), (-0.0, 0), (1.5, 1.5), (1e21, 10**21), (2**53, 2**53), (True, True)],
)
def test_numbers_are_what_javascript_makes_of_them(number: float, kept: float) -> None:
    normal = normalize(workflow(node("A", "set", parameters={"n": number})))

    parameters = normal.nodes["A"]["parameters"]
    assert parameters == {"n": kept}
    assert repr(parameters) == repr({"n": kept})
    assert normal.findings == ()


def test_a_number_that_javascript_rounds_is_a_warning() -> None:
    normal = normalize(workflow(node("A", "set", parameters={"n": 12345678901234567890})))

    assert normal.nodes["A"]["parameters"] == {"n": 12345678901234567000}
    assert codes(normal) == ["WFL110"]


@pytest.mark.parametrize(
    "value, code",
    [
        (float("nan"), "WFL108"),
        (float("inf"), "WFL108"),
        (10**400, "WFL108"),
        ("a\0b", "WFL109"),
        ("half \ud83d", "WFL109"),
        ({1: 2}, "WFL108"),
        ({"x": object()}, "WFL108"),
    ],
)
def test_what_can_not_be_stored_is_an_error(value: object, code: str) -> None:
    normal = normalize(workflow(node("A", "set", parameters={"v": value})))

    assert code in codes(normal)
    assert any(finding.is_error for finding in normal.findings)


def test_deep_nesting_is_an_error_and_not_a_crash() -> None:
    deep: Any = "bottom"
    for _ in range(300):
        deep = [deep]

    normal = normalize(workflow(node("A", "set", parameters={"v": deep})))

    assert codes(normal) == ["WFL108"]


def test_a_path_is_written_the_way_people_do() -> None:
    assert dotted(("nodes", 2, "parameters", "url")) == "nodes[2].parameters.url"
    assert dotted(()) == "the workflow"
