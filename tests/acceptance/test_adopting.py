"""Workflows made by hand become spec files; n8n is not touched, and a plan afterwards is empty."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.instance import named
from tests.acceptance.repository import node, says_workflow
from tests.doubles.fake_n8n import FakeN8n


def by_hand(stage: Stage) -> dict[str, str]:
    """Make things in n8n as people do: a webhook with a credential, a callee, its caller, a draft."""
    n8n, home = stage.n8n, stage.organization
    data = {"name": "X-Key", "value": "by hand"}
    key = n8n.call(
        "POST",
        "/credentials",
        {"name": f"{home} key", "type": "httpHeaderAuth", "data": data},
    )
    hook = _hook(f"{home}-hook", {"id": key["id"], "name": key["name"]})
    callee = says_workflow("called")
    callee["nodes"][0] = node("Start", "executeWorkflowTrigger", {}, [0, 0])
    callee["nodes"][0] |= {"parameters": {"inputSource": "passthrough"}, "typeVersion": 1.1}
    ids = {"hook": _make(stage, "hook", hook), "callee": _make(stage, "callee", callee)}
    caller = _hook(f"{home}-caller", None)
    value = {"__rl": True, "value": ids["callee"], "mode": "list"}
    call = node("Say", "executeWorkflow", {"workflowId": value, "options": {}}, [220, 0])
    caller["nodes"][1] = call
    ids["caller"] = _make(stage, "caller", caller)
    ids["draft"] = _make(stage, "draft", _hook(f"{home}-draft", None), live=False)
    return ids


def _hook(path: str, key: dict[str, str] | None) -> Any:
    body = says_workflow("hello")
    parameters = {"httpMethod": "POST", "path": path, "options": {}}
    body["nodes"][0] = node("Start", "webhook", parameters, [0, 0], webhookId=path)
    if key is not None:
        body["nodes"][0]["credentials"] = {"httpHeaderAuth": key}
        parameters["authentication"] = "headerAuth"
    return body


def _make(stage: Stage, name: str, body: Any, *, live: bool = True) -> str:
    made = stage.n8n.call("POST", "/workflows", {**body, "name": f"{stage.organization} {name}"})
    if live:
        stage.n8n.call("POST", f"/workflows/{made['id']}/publish", {})
    return str(made["id"])


def everything(stage: Stage) -> list[str]:
    """All that n8n says about what a test made."""
    return [
        *(
            json.dumps(stage.n8n.call("GET", f"/workflows/{w['id']}"), sort_keys=True)
            for w in stage.n8n.workflows(stage.organization)
        ),
        *(json.dumps(c, sort_keys=True) for c in stage.n8n.credentials(stage.organization)),
    ]


def check_one(stage: Stage) -> None:
    ids = by_hand(stage)
    stage.repository.organization()
    stage.shell.apply()
    before = everything(stage)

    done = stage.shell.ok("adopt", "--organization", stage.organization, ids["hook"])

    assert before == everything(stage)
    assert "adopted 1 workflow:" in done.out
    stage.shell.no_changes()
    stage.shell.ok("validate")
    recorded = stage.rows('SELECT "n8nWorkflowId" FROM automations')
    assert [(ids["hook"],)] == recorded


def test_one_by_its_id(on_fake: Stage) -> None:
    check_one(on_fake)


@pytest.mark.n8n
def test_one_by_its_id_on_a_real_n8n(on_real: Stage) -> None:
    check_one(on_real)


@pytest.mark.n8n
def test_several_on_a_real_n8n_that_call_each_other(on_real: Stage) -> None:
    ids = by_hand(on_real)
    on_real.repository.organization()
    on_real.shell.apply()
    before = everything(on_real)

    on_real.shell.ok("adopt", "--organization", on_real.organization, *ids.values())

    assert before == everything(on_real)
    on_real.shell.no_changes()


def test_all_of_them(on_fake: Stage, fake: FakeN8n) -> None:
    ids = by_hand(on_fake)
    on_fake.repository.organization().automation("mine")
    on_fake.shell.apply()
    before = everything(on_fake)
    fake.calls.clear()

    done = on_fake.shell.ok("adopt", "--organization", "acme", "--all", "-o", "json").document

    assert len(ids) == len(done["adopted"])
    assert [] == fake.writes()
    assert before == everything(on_fake)
    on_fake.shell.no_changes()
    assert (
        []
        == on_fake.shell.ok("adopt", "--organization", "acme", "--all", "-o", "json").document[
            "adopted"
        ]
    )


def test_what_was_adopted_is_managed_from_then_on(on_fake: Stage) -> None:
    ids = by_hand(on_fake)
    on_fake.repository.organization()
    on_fake.shell.apply()
    on_fake.shell.ok("adopt", "--organization", "acme", ids["hook"])

    [file] = on_fake.repository.home.glob("workflows/*.json")
    file.write_text(file.read_text().replace('"hello"', '"good morning"'))
    assert 2 == on_fake.shell.run("plan").code
    on_fake.shell.apply()

    workflow = on_fake.n8n.call("GET", f"/workflows/{ids['hook']}")
    assert "good morning" in str(named(workflow["activeVersion"], "Say"))
    assert "acme-hook" == named(workflow, "Start")["parameters"]["path"]
    on_fake.n8n.says(ids["hook"], "by hand")
    assert 2 == on_fake.shell.run("drift").code


@pytest.mark.parametrize("words", [("unknown-id",), ()])
def test_nothing_is_written_when_it_is_refused(on_fake: Stage, words: tuple[str, ...]) -> None:
    on_fake.repository.organization()
    on_fake.shell.apply()
    before = sorted(on_fake.shell.folder.rglob("*"))

    done = on_fake.shell.run("adopt", "--organization", "acme", *words)

    assert 64 == done.code, done.said
    assert before == sorted(on_fake.shell.folder.rglob("*"))


def test_an_organization_must_be_applied_first(on_fake: Stage) -> None:
    ids = by_hand(on_fake)
    on_fake.repository.organization()

    done = on_fake.shell.run("adopt", "--organization", "acme", ids["hook"])

    assert 78 == done.code
    assert "reconciler apply" in done.err


def test_what_only_a_person_starts_is_adopted_as_inactive(on_fake: Stage) -> None:
    _make(on_fake, "by button", says_workflow("only by hand"), live=False)
    on_fake.repository.organization()
    on_fake.shell.apply()
    before = everything(on_fake)

    done = on_fake.shell.ok("adopt", "--organization", "acme", "--all")

    assert "adopted 1 workflow:" in done.out
    assert [(False,)] == on_fake.rows('SELECT "isActive" FROM automations')
    assert before == everything(on_fake)
    on_fake.shell.no_changes()


def test_what_is_archived_or_ours_is_left_alone_and_told(on_fake: Stage) -> None:
    ids = by_hand(on_fake)
    on_fake.n8n.call("POST", f"/workflows/{ids['draft']}/archive")
    on_fake.repository.organization().automation("mine")
    on_fake.shell.apply()
    mine = on_fake.n8n.workflow("acme mine")["id"]

    done = on_fake.shell.run("adopt", "--organization", "acme", ids["draft"], mine, "-o", "json")

    assert 5 == done.code, done.said
    assert [] == done.document["adopted"]
    assert {ids["draft"], mine} == done.document["left"].keys()
    assert "archived" in done.document["left"][ids["draft"]]
    assert "ours already" in done.document["left"][mine]
