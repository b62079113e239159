"""The managed entry: which triggers it stands in for, and that it can be found and taken out."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.resource.address import Address
from reconciler.resource.payload import Ref, Side, references
from reconciler.workflow.entry import (
    ENTRY_NAME,
    Entered,
    find_entry_path,
    strip_entry,
    with_entry,
)
from reconciler.workflow.normal import nodes_of, normalize
from reconciler.workflow.wire import to_wire
from tests.unit.workflow_samples import link, node, workflow

PATH = Ref(Address("acme", "Automation", "orders"), Side.ROW)
LOGIN = Ref(Address("acme", "Organization", "acme"))


def enter(*nodes: dict[str, Any], **connections: Any) -> Entered:
    return with_entry(normalize(workflow(*nodes, connections=connections)).document, PATH, LOGIN)


def test_a_trigger_becomes_a_pass_through_of_the_same_name() -> None:
    entered = enter(
        node("When", "scheduleTrigger", 1.2, position=[100, 50], notes="daily"),
        node("Set", "set"),
        When=link("Set"),
    )

    nodes = nodes_of(entered.document)
    assert nodes["When"] == {
        "type": "n8n-nodes-base.splitOut",
        "typeVersion": 1,
        "position": [100, 50],
        "parameters": {"fieldToSplitOut": "body.items", "options": {}},
        "notes": "daily",
    }
    assert entered.document["connections"] == {ENTRY_NAME: link("When"), "When": link("Set")}
    assert [(one.node, one.field, one.kind) for one in entered.served] == [
        ("When", "items", "schedule")
    ]


def test_the_entry_is_a_webhook_with_our_path_and_login_and_no_expression() -> None:
    entered = enter(node("When", "manualTrigger", position=[100, 50]))

    assert nodes_of(entered.document)[ENTRY_NAME] == {
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2.1,
        "position": [-120, 50],
        "parameters": {
            "httpMethod": "POST",
            "path": PATH,
            "authentication": "headerAuth",
            "responseMode": "onReceived",
            "options": {},
        },
        "credentials": {"httpHeaderAuth": LOGIN},
    }
    assert set(references(entered.document)) == {PATH, LOGIN}


def test_several_triggers_get_a_field_each_in_the_order_of_their_names() -> None:
    entered = enter(
        node("C", "webhook", 2, parameters={"path": "/c/", "httpMethod": "PUT"}),
        node("A", "start"),
        node("B", "cron"),
    )

    assert [(one.node, one.field, one.kind, one.detail) for one in entered.served] == [
        ("A", "items", "manual", ""),
        ("B", "items2", "schedule", ""),
        ("C", "items3", "webhook", "PUT /c"),
    ]
    assert entered.document["connections"] == {ENTRY_NAME: link("A", "B", "C")}


def test_other_triggers_and_disabled_ones_stay() -> None:
    entered = enter(node("Mail", "emailReadImap", 2), node("Off", "manualTrigger", disabled=True))

    nodes = nodes_of(entered.document)
    assert entered.served == ()
    assert nodes["Mail"]["type"] == "n8n-nodes-base.emailReadImap"
    assert nodes["Off"]["type"] == "n8n-nodes-base.manualTrigger"
    assert ENTRY_NAME in nodes
    assert entered.document["connections"] == {}


def test_a_webhook_of_several_methods_is_parted_again_behind_its_pass_through() -> None:
    entered = enter(
        node("Hook", "webhook", 2, parameters={"multipleMethods": True, "path": "x"}),
        node("Get", "set"),
        node("Post", "set"),
        Hook={"main": [link("Get")["main"][0], link("Post")["main"][0]]},
    )

    connections: Any = entered.document["connections"]
    assert entered.served[0].methods == ("GET", "POST")
    assert connections["Hook"] == link("Hook by method")
    assert connections["Hook by method"]["main"] == [*link("Get")["main"], *link("Post")["main"]]
    assert nodes_of(entered.document)["Hook by method"]["parameters"] == {
        "mode": "expression",
        "numberOutputs": 2,
        "output": "={{ $('reconciler entry').first().json.body.output }}",
    }


def test_methods_that_lead_to_the_same_nodes_need_no_parting() -> None:
    same = link("Set")["main"][0]
    entered = enter(
        node("Hook", "webhook", 2, parameters={"httpMethod": ["GET", "PUT"], "path": "x"}),
        node("Set", "set"),
        Hook={"main": [same, same]},
    )

    assert entered.document["connections"] == {ENTRY_NAME: link("Hook"), "Hook": link("Set")}


def test_a_node_that_answers_makes_the_entry_wait_for_it() -> None:
    entered = enter(
        node("Hook", "webhook", 2, parameters={"path": "x", "responseMode": "responseNode"}),
        node("Set", "set"),
        node("Answer", "respondToWebhook", 1.1),
        Hook=link("Set"),
        Set=link("Answer"),
    )

    parameters: Any = nodes_of(entered.document)[ENTRY_NAME]["parameters"]
    assert parameters["responseMode"] == "responseNode"


def test_an_answer_that_belongs_to_a_waiting_node_is_not_the_entrys() -> None:
    resume = {"resume": "webhook", "responseMode": "responseNode"}
    entered = enter(
        node("Hook", "webhook", 2, parameters={"path": "x"}),
        node("Wait", "wait", 1.1, parameters=resume),
        node("Answer", "respondToWebhook", 1.1),
        Hook=link("Wait"),
        Wait=link("Answer"),
    )

    parameters: Any = nodes_of(entered.document)[ENTRY_NAME]["parameters"]
    assert parameters["responseMode"] == "onReceived"


@pytest.mark.parametrize("kind", ["scheduleTrigger", "webhook", "manualTrigger"])
def test_taking_the_entry_out_and_putting_it_in_again_changes_nothing(kind: str) -> None:
    entered = enter(node("T", kind, notes="n"), node("Set", "set"), T=link("Set"))

    stripped = strip_entry(entered.document)

    assert ENTRY_NAME not in nodes_of(stripped)
    assert nodes_of(stripped)["T"]["type"] == "n8n-nodes-base.manualTrigger"
    assert with_entry(stripped, PATH, LOGIN).document == entered.document
    assert with_entry(entered.document, PATH, LOGIN).document == entered.document


def test_a_document_without_an_entry_is_not_stripped_of_anything() -> None:
    document = normalize(workflow(node("T", "splitOut"), connections={"X": link("T")})).document

    assert strip_entry(document) == document


def test_the_marker_is_found_in_an_n8n_object() -> None:
    document = with_entry(normalize(workflow()).document, "k3j2h1", "5").document
    nodes, _ = to_wire(nodes_of(document), {}, "a/Automation/b")

    assert find_entry_path(nodes) == "k3j2h1"
    assert find_entry_path(document["nodes"]) == "k3j2h1"


@pytest.mark.parametrize(
    "nodes",
    [
        None,
        [],
        [3],
        [node("Webhook", "webhook", parameters={"path": "x"})],
        [node(ENTRY_NAME, "set", parameters={"path": "x"})],
        [node(ENTRY_NAME, "webhook")],
        [node(ENTRY_NAME, "webhook", parameters={"path": 3})],
    ],
)
def test_what_a_stranger_made_has_no_marker(nodes: object) -> None:
    assert find_entry_path(nodes) is None


def test_a_node_that_has_the_entrys_name_is_an_error() -> None:
    (finding,) = enter(node(ENTRY_NAME, "set")).findings

    assert finding.code == "WFL140"
    assert finding.is_error


def test_the_document_given_is_left_as_it_is() -> None:
    document = normalize(
        workflow(node("T", "manualTrigger"), connections={"T": link("T")})
    ).document
    before = repr(document)

    with_entry(document, PATH, LOGIN)

    assert repr(document) == before
