"""What n8n did but could not say, did only half, or did late: found out, told, and finished."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.instance import named
from tests.acceptance.repository import node
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fake_n8n_http import serve


@pytest.mark.parametrize("trouble", [Trouble.RESET, Trouble.BAD_GATEWAY, Trouble.HTML])
def test_a_lost_answer_to_a_creation_makes_no_second_workflow(
    on_fake: Stage, fake: FakeN8n, trouble: Trouble
) -> None:
    on_fake.repository.organization().automation("greet")
    fake.faults.append(Fault(trouble=trouble, after=True, method="POST", path="v1/workflows"))

    first = on_fake.shell.run("apply", "-y")
    assert first.code in {1, 4, 7}, first.said
    assert 1 == len(fake.state.workflows)
    on_fake.shell.apply()

    assert 1 == len(fake.state.workflows)
    on_fake.shell.no_changes()


def test_a_lost_answer_to_a_credential_makes_no_second_one(on_fake: Stage, fake: FakeN8n) -> None:
    on_fake.repository.organization()
    on_fake.shell.apply()
    on_fake.repository.credential("door", "A_SECRET")
    before = len(fake.state.credentials)
    fake.faults.append(
        Fault(trouble=Trouble.RESET, after=True, method="POST", path="v1/credentials")
    )

    assert 0 != on_fake.shell.run("apply", "-y").code
    on_fake.shell.apply()

    assert before + 1 == len(fake.state.credentials)
    on_fake.shell.no_changes()


@pytest.mark.parametrize("after", [False, True], ids=["request lost", "answer lost"])
@pytest.mark.parametrize("method, path", [("PUT", "/workflows/"), ("POST", "/publish")])
def test_a_write_that_may_be_repeated_is_repeated(
    on_fake: Stage, fake: FakeN8n, method: str, path: str, *, after: bool
) -> None:
    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()
    on_fake.repository.automation("greet", says="news")
    fake.faults.append(Fault(trouble=Trouble.RESET, after=after, method=method, path=path))

    on_fake.shell.apply()

    assert "news" in str(on_fake.n8n.workflow("acme greet")["activeVersion"])
    on_fake.shell.no_changes()


def hooked(path: str) -> Any:
    """Make a workflow that n8n itself starts, by a webhook at *path*."""
    parameters = {"httpMethod": "POST", "path": path, "options": {}}
    return {
        "name": "hooked",
        "nodes": [
            node("Hook", "webhook", parameters, [0, 0], webhookId="9a1f"),
            node("Next", "noOp", {}, [220, 0]),
        ],
        "connections": {"Hook": {"main": [[{"node": "Next", "type": "main", "index": 0}]]}},
        "settings": {},
    }


def edited(on_fake: Stage) -> str:
    """Apply a webhook, then edit its path in the specs to one that a stranger may have."""
    repository = on_fake.repository.organization()
    repository.automation("greet", workflow={"entry": "native"}).workflow("greet", hooked("mine"))
    on_fake.shell.apply()
    repository.workflow("greet", hooked("yours"))
    return str(on_fake.n8n.workflow("acme greet")["id"])


def test_a_refused_publication_puts_the_draft_back_and_is_told(
    on_fake: Stage, fake: FakeN8n
) -> None:
    words = "There is a conflict with one of the webhooks"
    id_ = edited(on_fake)
    before = on_fake.n8n.call("GET", f"/workflows/{id_}")

    def meanwhile(fake: FakeN8n) -> None:
        fake.state.hooks["POST", "yours"] = "a stranger"

    fake.faults.append(Fault(method="PUT", path=id_, act=meanwhile))
    done = on_fake.shell.run("apply", "-y")

    assert 4 == done.code, done.said
    assert words in done.err
    after = on_fake.n8n.call("GET", f"/workflows/{id_}")
    assert named(before, "Hook")["parameters"] == named(after, "Hook")["parameters"]
    assert before["nodes"] == after["activeVersion"]["nodes"]
    planned = on_fake.shell.run("plan", "-o", "json")
    assert 2 == planned.code
    assert ["acme/Automation/greet"] == [c["address"] for c in planned.document["changes"]]


def test_a_path_that_is_taken_is_refused_before_anything_is_written(
    on_fake: Stage, fake: FakeN8n
) -> None:
    greet = edited(on_fake)
    body = {**hooked("yours"), "name": "stranger"}
    stranger = on_fake.n8n.call("POST", "/workflows", body)
    on_fake.n8n.call("POST", f"/workflows/{stranger['id']}/publish", {})
    fake.calls.clear()

    done = on_fake.shell.run("apply", "-y")

    assert 5 == done.code, done.said
    assert "another workflow in n8n already listens to POST yours" in " ".join(done.out.split())
    assert [] == fake.writes()

    on_fake.repository.credential("door", "A_SECRET").automation("other")
    others = on_fake.shell.run("apply", "-y")
    assert "2 applied" in others.last, others.said
    assert on_fake.shell.run("validate").code == 0
    shown = on_fake.shell.ok("status", "-o", "json").document["resources"]
    [told] = [one for one in shown if one["address"] == "acme/Automation/greet"]
    assert "POST yours" in told["reason"]

    on_fake.n8n.remove(stranger["id"])
    on_fake.shell.apply()
    assert (
        on_fake.n8n.call("GET", f"/workflows/{greet}")["activeVersion"]["nodes"][0]["parameters"][
            "path"
        ]
        == "yours"
    )


def test_applied_means_that_n8n_really_serves_it(on_fake: Stage) -> None:
    late = FakeN8n(lag=12)
    on_fake.repository.organization().automation("greet")
    with serve(late) as url:
        done = on_fake.shell.run("apply", "-y", N8N_URL=url)

    assert 0 == done.code, done.said
    assert {} == late.state.pending
    assert 1 == len(late.state.hooks)
    assert [404, 403] == list(
        dict.fromkeys(c.status for c in late.calls if c.path.startswith("/webhook/"))
    )
