"""Laws of workflows as documents, over workflows that nobody would write by hand."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.workflow.bind import bind
from reconciler.workflow.catalog import shipped_catalog
from reconciler.workflow.diff import node_changes
from reconciler.workflow.entry import find_entry_path, strip_entry, with_entry
from reconciler.workflow.lint import lint
from reconciler.workflow.normal import nodes_of, normalize
from reconciler.workflow.risk import scan
from reconciler.workflow.wire import canonical_nodes, to_wire
from tests.unit.workflow_corpus import corpus

WHERE = "acme/Automation/orders"
TYPES = (
    "webhook", "scheduleTrigger", "manualTrigger", "telegramTrigger", "formTrigger", "set", "code",
    "executeWorkflow", "respondToWebhook", "wait", "slack", "noSuchNode",
)  # fmt: skip
names = st.text(min_size=1, max_size=4) | st.sampled_from(["A", "B", "C"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["={{ $json.a }}", "={{ $vars.x }", "Bearer abcdefghijklmnop"])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
parameters = st.dictionaries(
    st.sampled_from(["path", "httpMethod", "workflowId", "rule", "options", "x", "authentication"]),
    anything,
    max_size=4,
)
sound_nodes = st.fixed_dictionaries(
    {
        "name": names,
        "type": st.sampled_from(TYPES).map("n8n-nodes-base.{}".format),
        "typeVersion": st.sampled_from([1, 1.0, 1.1, 2, 3.4]),
        "position": st.tuples(st.integers(-999, 999), st.floats(-99, 99)).map(list),
        "parameters": parameters,
    },
    optional={
        "id": st.uuids().map(str),
        "disabled": st.booleans() | st.none(),
        "notes": st.text(max_size=3),
        "onError": st.sampled_from(["stopWorkflow", "continueRegularOutput"]),
        "webhookId": st.uuids().map(str),
        "credentials": st.dictionaries(
            st.sampled_from(["slackApi", "httpHeaderAuth"]),
            st.fixed_dictionaries({"id": st.text(max_size=2), "name": st.text(max_size=3)}),
            max_size=2,
        ),
        "color": st.just("red"),
    },
)
junk_nodes = st.dictionaries(
    st.sampled_from(["name", "type", "typeVersion", "position", "parameters", "credentials"]),
    anything,
)
edge = st.fixed_dictionaries(
    {
        "node": st.sampled_from(["A", "B", "C", "Ghost"]),
        "type": st.just("main"),
        "index": st.integers(0, 2),
    }
)
links = st.dictionaries(
    st.sampled_from(["A", "B", "C", "Ghost"]),
    st.dictionaries(
        st.sampled_from(["main", "ai_tool"]),
        st.lists(st.none() | st.lists(edge, max_size=2), max_size=3),
    ),
    max_size=3,
)
sound: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {
        "name": st.text(max_size=5),
        "nodes": st.lists(sound_nodes, max_size=5, unique_by=lambda node: node["name"]),
        "connections": links,
        "settings": st.dictionaries(
            st.sampled_from(
                ["executionOrder", "timezone", "errorWorkflow", "executionTimeout", "odd"]
            ),
            st.sampled_from(["v1", "UTC", -1, 60, None, "DEFAULT"]),
        ),
    },
    optional={"pinData": anything, "meta": anything, "active": st.booleans()},
)
junk = anything | st.fixed_dictionaries(
    {"nodes": st.lists(junk_nodes | anything, max_size=4)},
    optional={"connections": anything, "settings": anything, "name": anything},
)


def same(id_: str) -> Any:
    return id_


def by_name(_: str, held: Any) -> Any:
    return {"name": held["name"]}


@given(junk | sound)
def test_nothing_makes_it_crash(raw: Any) -> None:
    normal = normalize(raw)

    lint(normal, shipped_catalog())
    scan(normal)
    bound = bind(normal, {"slackApi": "1"}, {"A": "2"})
    strip_entry(with_entry(bound.document, "p", "c").document)
    find_entry_path(raw)


@given(junk | sound)
def test_findings_and_what_was_dropped_lead_into_the_original(raw: Any) -> None:
    normal = normalize(raw)

    paths = [one.path for one in normal.findings] + [one.path for one in normal.dropped]
    for path in paths:
        value = raw
        for step in path[:-1]:
            value = value[step]


@given(junk | sound)
def test_the_normal_form_of_a_normal_form_is_itself(raw: Any) -> None:
    once = normalize(raw)
    again = normalize(once.document)

    assert again.document == once.document
    assert json.dumps(again.document) == json.dumps(once.document)


@given(sound, st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_keys_does_not_matter(raw: Any, dice: random.Random) -> None:
    shuffled = {**raw, "nodes": dice.sample(raw["nodes"], len(raw["nodes"]))}
    turned = {key: shuffled[key] for key in reversed(list(shuffled))}

    assert normalize(turned).document == normalize(raw).document


@given(sound)
def test_a_normal_form_holds_nothing_that_json_does_not(raw: Any) -> None:
    document = normalize(raw).document

    assert json.loads(json.dumps(document, allow_nan=False).encode()) == document


@given(sound)
def test_what_is_sent_comes_back_as_it_was(raw: Any) -> None:
    document = normalize(raw).document
    nodes, connections = to_wire(nodes_of(document), dict_of(document["connections"]), WHERE)
    served = {**document, "nodes": nodes, "connections": connections, "id": "1", "active": False}

    back = canonical_nodes(json.loads(json.dumps(served)), same, by_name, address=WHERE)

    assert back == document


@given(sound)
def test_entering_stripping_and_entering_is_entering(raw: Any) -> None:
    document = normalize(raw).document
    entered = with_entry(document, "p", "c")

    again = with_entry(strip_entry(entered.document), "p", "c")

    assert again.document == entered.document
    assert find_entry_path(entered.document["nodes"]) == "p"
    assert [one.node for one in again.served] == [one.node for one in entered.served]


@given(sound)
def test_an_entered_document_is_in_normal_form(raw: Any) -> None:
    document = with_entry(normalize(raw).document, "p", {"name": "entry"}).document

    assert normalize(document).document == document


@given(sound, sound)
def test_no_change_of_nodes_goes_unseen(one: Any, two: Any) -> None:
    old, new = nodes_of(normalize(one).document), nodes_of(normalize(two).document)

    changes = node_changes(dict(old), dict(new))

    assert bool(changes) == (old != new)
    gone = {change.was for change in changes if change.was}
    told = {change.name for change in changes} | gone
    assert told == {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def test_real_workflows_keep_the_laws() -> None:
    exports = corpus()
    if not exports:
        pytest.skip("the corpus of published workflows is not beside the repository")
    for name, raw in exports.items():
        normal = normalize(raw)
        nodes, connections = to_wire(
            nodes_of(normal.document), dict_of(normal.document["connections"]), WHERE
        )
        served = {**normal.document, "nodes": nodes, "connections": connections}
        entered = with_entry(normal.document, "p", "c").document

        assert normal.is_workflow, name
        assert normalize(normal.document).document == normal.document, name
        back = canonical_nodes(json.loads(json.dumps(served)), same, by_name, address=WHERE)
        assert back == normal.document, name
        assert with_entry(strip_entry(entered), "p", "c").document == entered, name


def dict_of(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value
