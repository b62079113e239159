"""An n8n that holds much more than ours: all pages are read, and what is not ours stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.repository import says_workflow
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault


def strangers(stage: Stage, *names: str) -> list[str]:
    """Make workflows by hand; return their ids."""
    made = []
    for name in names:
        body = {**says_workflow("by hand"), "name": name}
        made.append(stage.n8n.call("POST", "/workflows", body)["id"])
    return made


def exactly(stage: Stage, ids: list[str]) -> list[str]:
    """Everything n8n says about some workflows."""
    return [json.dumps(stage.n8n.call("GET", f"/workflows/{id_}")) for id_ in ids]


def through_everything(stage: Stage) -> None:
    """Create, update, repair, remove."""
    repository, shell = stage.repository, stage.shell
    shell.apply()
    repository.automation("greet", says="news")
    shell.apply()
    ours = [w for w in stage.n8n.workflows(stage.organization) if w["active"]]
    stage.n8n.says(ours[0]["id"], "by hand", live=True)
    shell.ok("drift", "--repair", "-y")
    repository.drop("greet")
    shell.apply("--prune", "--allow-remove", "1")


def check_strangers(stage: Stage) -> None:
    stage.repository.organization().automation("greet")
    title = f"{stage.organization} greet"
    ids = strangers(stage, title, title, f"{stage.organization} other")
    before = exactly(stage, ids)

    through_everything(stage)

    assert before == exactly(stage, ids)


def test_strangers_of_the_same_name_are_left_alone(on_fake: Stage) -> None:
    check_strangers(on_fake)


@pytest.mark.n8n
def test_strangers_of_the_same_name_are_left_alone_by_a_real_n8n(on_real: Stage) -> None:
    check_strangers(on_real)


def test_a_credential_of_the_same_name_is_left_alone(on_fake: Stage, fake: FakeN8n) -> None:
    body = {"name": "acme door", "type": "httpHeaderAuth", "data": {"name": "X", "value": "y"}}
    id_ = on_fake.n8n.call("POST", "/credentials", body)["id"]
    before = fake.state.credentials[id_]
    on_fake.repository.organization().credential("door", "A_SECRET")

    on_fake.shell.apply()

    assert before == fake.state.credentials[id_]
    on_fake.shell.no_changes()


def test_more_workflows_than_a_page_holds(on_fake: Stage, fake: FakeN8n) -> None:
    on_fake.repository.organization().automation("greet")
    strangers(on_fake, *(f"stranger {number}" for number in range(260)))
    on_fake.shell.apply()
    ours = on_fake.n8n.workflow("acme greet")["id"]
    strangers(on_fake, *(f"stranger {number}" for number in range(260, 520)))

    on_fake.shell.no_changes()

    listed = [c for c in fake.calls if c.path == "/api/v1/workflows" and "cursor" in c.query]
    assert len(listed) >= 2
    assert 521 == len(fake.state.workflows)
    on_fake.n8n.says(ours, "by hand")
    assert 2 == on_fake.shell.run("drift").code


@pytest.mark.parametrize("doomed", [0, 200, 249, 250])
def test_a_workflow_that_is_deleted_while_pages_are_read_hides_no_other(
    on_fake: Stage, fake: FakeN8n, doomed: int
) -> None:
    on_fake.repository.organization()
    for number in range(20):
        on_fake.repository.automation(f"a{number}")
    strangers(on_fake, *(f"stranger {number}" for number in range(280)))
    on_fake.shell.apply()
    ours = set(fake.state.workflows) & {
        str(id_) for (id_,) in on_fake.rows('SELECT "n8nWorkflowId" FROM automations')
    }
    order = sorted(fake.state.workflows)
    victim = next(id_ for id_ in order[doomed:] if id_ not in ours)

    def delete(fake: FakeN8n) -> None:
        fake.state.workflows.pop(victim, None)

    fake.faults.append(Fault(method="GET", path="/workflows", nth=2, act=delete))
    fake.calls.clear()

    on_fake.shell.no_changes()

    assert victim not in fake.state.workflows
    assert [] == fake.writes()


@pytest.mark.n8n
@pytest.mark.slow
def test_more_workflows_than_a_page_holds_on_a_real_n8n(on_real: Stage) -> None:
    on_real.repository.organization().automation("greet")
    on_real.shell.apply()
    names = [f"{on_real.organization} stranger {number}" for number in range(255)]
    ids = strangers(on_real, *names)

    on_real.shell.no_changes()
    on_real.n8n.says(on_real.n8n.workflow(f"{on_real.organization} greet")["id"], "by hand")
    assert 2 == on_real.shell.run("drift").code

    remove_quickly(on_real, ids)


def remove_quickly(stage: Stage, ids: list[str]) -> None:
    """Drafts need no archiving first."""
    for id_ in ids:
        answer: Any = stage.n8n.http.delete(f"/api/v1/workflows/{id_}")
        assert 200 == answer.status_code
