"""The main job: edit a file, plan shows exactly that, apply makes it, a second plan is empty."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.instance import entry, named
from tests.acceptance.records import inventory
from tests.doubles.fake_n8n import FakeN8n

EXAMPLES = Path(__file__).resolve().parents[2] / "specs"
SECRETS = {
    name: f"made up for {name.lower()}"
    for name in (
        "ACME_INVOICE_HOOK_SECRET",
        "ACME_PARTNER_SIGNING_SECRET",
        "GLOBEX_CONTRACT_HOOK_SECRET",
        "GLOBEX_OFFICE_SCREEN_PASSWORD",
        "GLOBEX_PORTAL_TOKEN_SECRET",
        "GLOBEX_PURCHASE_HOOK_SECRET",
    )
}


def changed(plan: Any) -> list[tuple[str, str]]:
    """List what a plan document would do."""
    return [(change["address"], change["action"]) for change in plan["changes"]]


@pytest.mark.n8n
@pytest.mark.postgres
def test_the_examples_come_alive_and_one_edit_is_exactly_one_change(on_real: Stage) -> None:
    shell, n8n = on_real.shell, on_real.n8n
    shell.env |= SECRETS
    shutil.copytree(EXAMPLES, shell.folder / "specs")

    shell.apply()

    recorded = inventory(on_real.database_url)
    automations = {a: ids for a, ids in recorded.items() if "/Automation/" in a}
    rows = on_real.rows('SELECT "n8nWorkflowId", "isActive" FROM automations')
    try:
        assert len(automations) >= 12
        assert {ids[1] for ids in automations.values()} == {id_ for id_, _ in rows}
        assert sum(bool(active) for _, active in rows) >= 12
        for id_, active in rows:
            assert active == n8n.call("GET", f"/workflows/{id_}")["active"]
        shell.no_changes()
        _edit_one(on_real, automations["acme/Automation/vendor-check"][1])
    finally:
        for _, id_, _ in automations.values():
            n8n.remove(str(id_))
        for address, (_, id_, _) in recorded.items():
            if "/Automation/" not in address and id_:
                n8n.http.delete(f"/api/v1/credentials/{id_}")


def touched(stage: Stage) -> dict[str, str]:
    """When each of our workflows was written last; other tests use the same n8n."""
    ours = {ids[1] for ids in inventory(stage.database_url).values()}
    return {w["id"]: w["updatedAt"] for w in stage.n8n.workflows() if w["id"] in ours}


def _edit_one(stage: Stage, id_: str | None) -> None:
    shell, n8n = stage.shell, stage.n8n
    file = shell.folder / "specs/organizations/acme/workflows/vendor-check.json"
    file.write_text(file.read_text().replace("discount: 0.03", "discount: 0.04"))
    before = touched(stage)

    planned = shell.run("plan")

    assert 2 == planned.code, planned.said
    assert "Plan: 0 to create, 1 to update, 0 to remove, 0 blocked." == planned.last
    assert ["  ~ acme/Automation/vendor-check"] == [
        line for line in planned.out.splitlines() if re.match("  [-+~!=>] .*/", line)
    ]
    assert "discount: 0.04" in planned.out
    assert before == touched(stage), "a plan writes nothing"

    shell.apply()

    code = named(n8n.call("GET", f"/workflows/{id_}")["activeVersion"], "Look the vendor up")
    assert "discount: 0.04" in code["parameters"]["jsCode"]
    after = touched(stage)
    assert {id_} == {key for key in before if before[key] != after.get(key)}
    shell.no_changes()
    assert "No changes." in shell.apply().out
    assert after == touched(stage), "nothing is written twice"


def test_a_plan_and_an_empty_apply_write_nothing_at_all(on_fake: Stage, fake: FakeN8n) -> None:
    on_fake.repository.organization().automation("greet").credential("door", "A_SECRET")
    assert 2 == on_fake.shell.run("plan").code
    assert [] == fake.writes()
    assert 0 == on_fake.value("SELECT count(*) FROM reconciler.resources")
    assert 0 == on_fake.value('SELECT count(*) FROM "organization"')

    on_fake.shell.apply()
    fake.calls.clear()
    on_fake.shell.no_changes()
    on_fake.shell.apply()

    assert [] == fake.writes()


def test_an_applied_automation_is_live_and_recorded(on_fake: Stage) -> None:
    trigger = {"name": "mornings", "type": "SCHEDULE", "cron": "0 9 * * 1-5", "timezone": "UTC"}
    on_fake.repository.organization().automation("greet", triggers=[trigger])

    on_fake.shell.apply()

    workflow = on_fake.n8n.workflow("acme greet")
    row = on_fake.rows('SELECT id, "n8nWorkflowId", "isActive", "triggerType" FROM automations')
    assert [(entry(workflow), workflow["id"], True, "SCHEDULE")] == row
    assert 403 == on_fake.n8n.probe(entry(workflow))
    assert 1 == on_fake.value("SELECT count(*) FROM workflow_triggers")


def test_each_edit_is_shown_as_what_it_is(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("greet", says="hello").automation("other")
    on_fake.shell.apply()

    on_fake.repository.automation("greet", says="good morning")
    plan = on_fake.shell.plan("-o", "json").document

    assert [("acme/Automation/greet", "update")] == changed(plan)
    [field] = plan["changes"][0]["fields"]
    assert "nodes" in field["path"]
    assert (
        "hello" in json.dumps(field["before"]),
        "good morning" in json.dumps(field["after"]),
    ) == (
        True,
        True,
    )
    assert [] == plan["drift"]


def test_a_target_leaves_the_rest_alone(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("greet").automation("other")

    on_fake.shell.apply("--target", "acme/Automation/greet")

    assert ["acme greet"] == [w["name"] for w in on_fake.n8n.workflows()]


def test_a_called_automation_is_published_before_its_caller(on_fake: Stage) -> None:
    from tests.acceptance.repository import node, says_workflow

    caller = says_workflow("calling")
    caller["nodes"][1] = node(
        "Say", "executeWorkflow", {"workflowId": {"value": "callee", "mode": "id"}}, [220, 0]
    )
    callee = says_workflow("called")
    callee["nodes"][0] = node("Start", "executeWorkflowTrigger", {}, [0, 0])
    repository = on_fake.repository.organization().automation("a-caller").automation("callee")
    repository.workflow("a-caller", caller).workflow("callee", callee)

    on_fake.shell.apply()

    id_ = on_fake.n8n.workflow("acme callee")["id"]
    call = named(on_fake.n8n.workflow("acme a-caller"), "Say")
    assert id_ == call["parameters"]["workflowId"]["value"]
    on_fake.shell.no_changes()
