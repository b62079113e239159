"""Published workflows against a real n8n: what passes our checks is taken, and comes back the same.

Law: a document in normal form that `lint` lets pass is accepted by POST; its
normal form, read back, equals what was sent; a document that n8n refuses has
been refused by `lint` before, for the same reason.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from reconciler.resource.payload import Json
from reconciler.workflow.catalog import shipped_catalog
from reconciler.workflow.entry import find_entry_path, with_entry
from reconciler.workflow.finding import Finding
from reconciler.workflow.lint import lint
from reconciler.workflow.normal import Normal, nodes_of, normalize
from reconciler.workflow.wire import canonical_nodes, to_wire
from tests.servers import RealN8n
from tests.unit.workflow_corpus import corpus

pytestmark = [pytest.mark.n8n, pytest.mark.slow, pytest.mark.xdist_group("real-n8n")]
# What n8n looks at when it saves; the rest matters only when it publishes.
SAVING = {"WFL101", "WFL102", "WFL103", "WFL104", "WFL105", "WFL106", "WFL108", "WFL109", "WFL112"}
CORPUS = corpus()


@pytest.fixture(scope="module")
def api(real_n8n: RealN8n) -> Iterator[httpx.Client]:
    headers = {"X-N8N-API-KEY": real_n8n.api_key}
    with httpx.Client(
        base_url=f"{real_n8n.url}/api/v1", headers=headers, timeout=60, trust_env=False
    ) as client:
        yield client


def body(document: Mapping[str, Any], address: str) -> dict[str, Any]:
    nodes, connections = to_wire(nodes_of(document), document["connections"], address)
    return {
        "name": f"corpus {address[-100:]}",
        "nodes": nodes,
        "connections": connections,
        "settings": document["settings"],
    }


def read_back(api: httpx.Client, id_: str, address: str) -> dict[str, Any]:
    served: dict[str, Json] = api.get(f"/workflows/{id_}").raise_for_status().json()
    document = canonical_nodes(
        served, lambda target: target, lambda _, held: {"name": str(held["name"])}, address=address
    )
    document.pop("name")
    return document


def nameless(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "name"}


def refusals(normal: Normal) -> list[Finding]:
    findings = lint(normal, shipped_catalog())
    return [one for one in findings if one.is_error and one.code in SAVING]


def without_loose_ends(raw: dict[str, Any]) -> dict[str, Any]:
    names = {node["name"] for node in raw["nodes"]}
    connections = {source: links for source, links in raw["connections"].items() if source in names}
    return {**raw, "connections": connections}


@pytest.mark.skipif(
    not CORPUS, reason="the corpus of published workflows is not beside the repository"
)
def test_n8n_takes_what_lint_lets_pass_and_refuses_what_it_refuses(api: httpx.Client) -> None:
    surprises = []
    taken = refused = 0
    for name, raw in CORPUS.items():
        normal = normalize(raw)
        said = refusals(normal)
        answer = api.post("/workflows", json=body(normal.document, name))
        if answer.is_success:
            taken += 1
            api.delete(f"/workflows/{answer.json()['id']}")
        else:
            refused += 1
        same_reason = answer.is_success or all(
            one.code == "WFL112" and "does not reference an existing node" in answer.text
            for one in said
        )
        if answer.is_success == bool(said) or not same_reason:
            surprises.append((name, answer.status_code, answer.text[:200], said[:2]))

    assert surprises == []
    assert taken + refused == len(CORPUS)
    assert taken > 0


@pytest.mark.skipif(
    not CORPUS, reason="the corpus of published workflows is not beside the repository"
)
def test_what_was_sent_comes_back_in_the_same_form(api: httpx.Client) -> None:
    login = api.post(
        "/credentials",
        json={
            "name": f"entry {uuid.uuid4()}",
            "type": "httpHeaderAuth",
            "data": {"name": "X-Entry", "value": "not a secret"},
        },
    ).json()
    different = []
    for name, raw in CORPUS.items():
        document = normalize(without_loose_ends(raw)).document
        entered = with_entry(document, f"corpus-{uuid.uuid4()}", {"name": login["name"]}).document
        for sent in (document, entered):
            made = api.post("/workflows", json=body(sent, name)).raise_for_status().json()
            if read_back(api, made["id"], name) != nameless(sent):
                different.append(name)
            if find_entry_path(made["nodes"]) != find_entry_path(sent["nodes"]):
                different.append(f"{name}: marker")
            if sent is entered:
                again = api.put(f"/workflows/{made['id']}", json=body(sent, name))
                if again.raise_for_status().json()["versionId"] != made["versionId"]:
                    different.append(f"{name}: a new version though nothing changed")
            api.delete(f"/workflows/{made['id']}").raise_for_status()
    api.delete(f"/credentials/{login['id']}")

    assert different == []
