"""The way to n8n and back: nothing random, and the same form again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.resource.address import Address
from reconciler.resource.payload import Json, Ref, Value
from reconciler.workflow.entry import with_entry
from reconciler.workflow.normal import nodes_of, normalize
from reconciler.workflow.wire import canonical_nodes, node_ids, to_wire, webhook_id
from tests.unit.workflow_samples import link, node, workflow

WHERE = "acme/Automation/orders"
SUB = Ref(Address("acme", "Automation", "sub"))
LOGIN = Ref(Address("acme", "Credential", "login"))


def to_sub(id_: str) -> Value:
    return SUB if id_ == "s1" else id_


def to_login(kind: str, held: Mapping[str, Json]) -> Value:
    return LOGIN if (kind, held.get("id")) == ("slackApi", "c1") else {"name": str(held["name"])}


def sent(document: Mapping[str, Value], **more: Any) -> list[dict[str, Any]]:
    nodes, _ = to_wire(nodes_of(document), {}, WHERE, **more)
    return [one for one in nodes if isinstance(one, dict)]


def test_sending_the_same_workflow_twice_is_the_same_request() -> None:
    first = normalize(workflow(node("A", "webhook", 2), node("B", "wait", 1.1), node("C", "set")))
    second = normalize(
        workflow(node("C", "set", id="z"), node("B", "wait", 1.1), node("A", "webhook", 2))
    )

    assert sent(first.document) == sent(second.document)


def test_ids_belong_to_an_address_and_a_name() -> None:
    document = normalize(workflow(node("A", "webhook", 2), node("B", "set"))).document
    here, _ = to_wire(nodes_of(document), {}, WHERE)
    there, _ = to_wire(nodes_of(document), {}, "acme/Automation/elsewhere")

    ids = [one["id"] for one in [*here, *there] if isinstance(one, dict)]
    assert len(set(map(str, ids))) == 4


def test_the_ids_of_nodes_that_exist_can_be_kept() -> None:
    raw = workflow(node("A", "set"))

    assert sent(normalize(raw).document, ids=node_ids(raw))[0]["id"] == "id of A"


def test_only_nodes_with_an_address_get_a_webhook_id() -> None:
    document = normalize(
        workflow(
            node("A", "telegramTrigger", 1.2, webhookId="mine"),
            node("B", "webhook"),
            node("C", "set"),
        )
    ).document

    assert [one.get("webhookId") for one in sent(document)] == [
        "mine",
        webhook_id(WHERE, "B"),
        None,
    ]


def test_a_credential_leaf_becomes_id_and_name() -> None:
    document = normalize(workflow(node("A", "slack", 2, credentials={"slackApi": "x"}))).document
    by_name = sent(document)[0]["credentials"]
    nodes_of(document)["A"]["credentials"] = {"slackApi": LOGIN}

    assert by_name == {"slackApi": {"id": None, "name": "x"}}
    assert sent(document)[0]["credentials"] == {"slackApi": {"id": LOGIN, "name": ""}}
    named = sent(document, name_of=lambda _: "Login [k3j2]")[0]["credentials"]
    assert named == {"slackApi": {"id": LOGIN, "name": "Login [k3j2]"}}


def test_what_n8n_holds_comes_back_as_references() -> None:
    locator = {"__rl": True, "mode": "list", "value": "s1", "cachedResultName": "Sub"}
    served = workflow(
        node("Call", "executeWorkflow", 1.2, parameters={"workflowId": locator}),
        node("Old", "executeWorkflow", 1, parameters={"workflowId": "s1"}),
        node("Late", "executeWorkflow", 1, parameters={"workflowId": "={{ 's1' }}"}),
        node("Chat", "slack", 2, credentials={"slackApi": {"id": "c1", "name": "Login"}}),
        node("More", "slack", 2, credentials={"slackApi": {"id": "c2", "name": "Hers"}}),
        settings={"errorWorkflow": "s1"},
    )

    document = canonical_nodes(served, to_sub, to_login)

    nodes: Any = nodes_of(document)
    assert nodes["Call"]["parameters"]["workflowId"] == {"__rl": True, "mode": "id", "value": SUB}
    assert nodes["Old"]["parameters"]["workflowId"] == SUB
    assert nodes["Late"]["parameters"]["workflowId"] == "={{ 's1' }}"
    assert nodes["Chat"]["credentials"] == {"slackApi": LOGIN}
    assert nodes["More"]["credentials"] == {"slackApi": {"name": "Hers"}}
    assert document["settings"] == {"errorWorkflow": SUB}


def test_what_was_sent_comes_back_in_the_same_form() -> None:
    raw = workflow(
        node("Hook", "webhook", 2, parameters={"path": "x"}),
        node("Form", "formTrigger", 2),
        node("Chat", "slack", 2.2, credentials={"slackApi": {"id": "c1", "name": "Login"}}),
        connections={"Hook": link("Chat"), "Form": link("Chat")},
        settings={"executionOrder": "v1"},
    )
    document = with_entry(normalize(raw).document, "k3j2", {"name": "entry"}).document
    nodes_of(document)["Chat"]["credentials"] = {"slackApi": LOGIN}
    links: Any = document["connections"]
    nodes, connections = to_wire(nodes_of(document), links, WHERE)
    for one in nodes:
        if isinstance(one, dict) and one["name"] == "Chat":
            one["credentials"] = {"slackApi": {"id": "c1", "name": "Login"}}
    settings = {"executionOrder": "v1"}
    served: Any = {"nodes": nodes[::-1], "connections": connections, "settings": settings}

    back = canonical_nodes(served, to_sub, to_login, address=WHERE)

    assert {**back, "name": "a workflow"} == document


def test_a_version_without_settings_and_name_can_be_read_too() -> None:
    version: Any = {"versionId": "1", "nodes": [node("A", "set")], "connections": {}}

    document = canonical_nodes(version, to_sub, to_login)

    assert list(document) == ["nodes", "connections", "settings"]
    assert list(nodes_of(document)) == ["A"]
