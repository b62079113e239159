"""What people change in n8n by hand shows as drift, and is put back on request."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import following, said_by, until
from tests.acceptance.records import differences
from tests.doubles.fake_n8n import FakeN8n

AUTOMATIONS = ("edited", "published", "stopped", "archived", "deleted", "renamed", "left")
HURT = {f"Automation/{name}" for name in AUTOMATIONS if name != "left"} | {
    "Credential/renamed-key",
    "Credential/edited-key",
}


def prepare(stage: Stage) -> Any:
    """Apply a repository; return how n8n looks then."""
    repository = stage.repository.organization()
    for name in AUTOMATIONS:
        repository.automation(name)
    repository.credential("renamed-key", "A_SECRET").credential("edited-key", "A_SECRET")
    stage.shell.apply()
    return stage.n8n.normal(stage.organization)


def vandalize(stage: Stage) -> None:
    """Change things in n8n as people do."""
    n8n, home = stage.n8n, stage.organization
    ids = {w["name"].removeprefix(f"{home} "): w["id"] for w in n8n.workflows(home)}
    n8n.says(ids["edited"], "draft by hand")
    n8n.says(ids["published"], "live by hand", live=True)
    n8n.call("POST", f"/workflows/{ids['stopped']}/unpublish")
    n8n.call("POST", f"/workflows/{ids['archived']}/archive")
    n8n.remove(ids["deleted"])
    n8n.edit(ids["renamed"], lambda body: body.update(name=f"{home} by hand"))
    for credential in n8n.credentials(home):
        path = f"/credentials/{credential['id']}"
        if "renamed-key" in credential["name"]:
            n8n.call("PATCH", path, {"name": f"{home} by hand"})
        elif "edited-key" in credential["name"]:
            n8n.call("PATCH", path, {"data": {"name": "X-Other", "value": "by hand"}})


def hurt(stage: Stage) -> set[str]:
    """What `drift` tells."""
    seen = stage.shell.run("drift", "-o", "json")
    assert seen.code == 2, seen.said
    prefix = f"{stage.organization}/"
    return {drift["address"].removeprefix(prefix) for drift in seen.document["drift"]}


@pytest.mark.parametrize(
    "repair",
    [("drift", "--repair", "-y"), ("apply", "-y")],
    ids=["drift --repair", "apply"],
)
class TestRepair:
    """Both ways to put things back."""

    def test_all_is_as_it_was(self, on_fake: Stage, repair: tuple[str, ...]) -> None:
        self._check(on_fake, repair)

    @pytest.mark.n8n
    def test_all_is_as_it_was_on_a_real_n8n(self, on_real: Stage, repair: tuple[str, ...]) -> None:
        self._check(on_real, repair)

    def _check(self, stage: Stage, repair: tuple[str, ...]) -> None:
        before = prepare(stage)
        assert 0 == stage.shell.run("drift").code
        vandalize(stage)

        assert HURT == hurt(stage)
        stage.shell.ok(*repair)

        assert [] == differences(before, stage.n8n.normal(stage.organization))
        assert 0 == stage.shell.run("drift").code
        stage.shell.no_changes()


def test_drift_is_shown_apart_from_intent(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("mine").automation("theirs")
    on_fake.shell.apply()
    on_fake.n8n.says(on_fake.n8n.workflow("acme theirs")["id"], "by hand")
    on_fake.repository.automation("mine", says="by commit")

    plan = on_fake.shell.plan("-o", "json").document

    assert ["acme/Automation/theirs"] == [drift["address"] for drift in plan["drift"]]
    assert {"mine", "theirs"} == {c["address"].rpartition("/")[2] for c in plan["changes"]}


def test_a_repair_does_not_apply_new_commits(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("greet", says="first")
    on_fake.shell.apply()
    id_ = on_fake.n8n.workflow("acme greet")["id"]
    on_fake.n8n.says(id_, "by hand", live=True)
    on_fake.repository.automation("greet", says="second")

    on_fake.shell.ok("drift", "--repair", "-y")

    assert "first" in str(on_fake.n8n.workflow("acme greet"))
    assert 2 == on_fake.shell.run("plan").code


def test_looking_for_drift_writes_nothing(on_fake: Stage, fake: FakeN8n) -> None:
    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()
    on_fake.n8n.says(on_fake.n8n.workflow("acme greet")["id"], "by hand")
    operations = on_fake.value("SELECT count(*) FROM reconciler.operations")
    fake.calls.clear()

    assert 2 == on_fake.shell.run("drift").code

    assert [] == fake.writes()
    assert operations == on_fake.value("SELECT count(*) FROM reconciler.operations")


def test_a_field_that_nobody_declared_belongs_to_its_owner(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()
    id_ = on_fake.n8n.workflow("acme greet")["id"]

    on_fake.n8n.edit(id_, lambda body: body["settings"].update(timezone="Europe/Berlin"))

    assert 0 == on_fake.shell.run("drift").code
    on_fake.shell.no_changes()


def test_a_node_that_was_added_by_hand_is_drift(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()
    id_ = on_fake.n8n.workflow("acme greet")["id"]
    extra = {"name": "By hand", "type": "n8n-nodes-base.noOp", "position": [0, 300]}
    on_fake.n8n.edit(id_, lambda body: body["nodes"].append({**extra, "typeVersion": 1}))

    seen = on_fake.shell.run("drift")

    assert 2 == seen.code
    assert "By hand" in seen.out


def test_a_hand_edit_between_plan_and_write_is_a_conflict(on_fake: Stage, fake: FakeN8n) -> None:
    from tests.doubles.fake_n8n_faults import Fault

    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()
    id_ = on_fake.n8n.workflow("acme greet")["id"]
    on_fake.repository.automation("greet", says="by commit")

    def meanwhile(fake: FakeN8n) -> None:
        fake.faults.clear()
        fake.edit(id_, lambda body: body.update(name="by hand, right now"))

    # The first read of the single workflow comes right before the write.
    fake.faults.append(Fault(method="GET", path=f"/workflows/{id_}", act=meanwhile))
    done = on_fake.shell.run("apply", "-y")

    assert 6 == done.code, done.said
    assert "by hand, right now" == on_fake.n8n.call("GET", f"/workflows/{id_}")["name"]


class TestNoLongerDeclared:
    """Nobody says how it should be: it is left alone, whatever is done to it."""

    def test_it_is_told_and_neither_shown_as_drift_nor_repaired(self, on_fake: Stage) -> None:
        repository = on_fake.repository.organization()
        repository.automation("kept", says="one").automation("gone", says="one")
        on_fake.shell.apply()
        repository.drop("gone")
        gone = f"{on_fake.organization}/Automation/gone"
        assert [("OutOfSync", "no longer declared")] == standing(on_fake, gone)
        for name in ("kept", "gone"):
            id_ = on_fake.n8n.workflow(f"{on_fake.organization} {name}")["id"]
            on_fake.n8n.says(id_, "by hand", live=True)
        assert [("OutOfSync", "no longer declared")] == standing(on_fake, gone)

        drift = on_fake.shell.run("drift", "-o", "json")
        assert [f"{on_fake.organization}/Automation/kept"] == [
            one["address"] for one in drift.document["drift"]
        ]
        on_fake.shell.ok("drift", "--repair", "-y")
        assert ("one", "by hand") == (said_by(on_fake, "kept"), said_by(on_fake, "gone"))
        assert 0 == on_fake.shell.run("drift").code

    def test_a_daemon_leaves_it_alone_with_good_specs_and_without(self, on_fake: Stage) -> None:
        repository = on_fake.repository.organization()
        repository.automation("kept", says="one").automation("gone", says="one")
        on_fake.shell.apply()
        repository.drop("gone")
        ids = {
            name: on_fake.n8n.workflow(f"{on_fake.organization} {name}")["id"]
            for name in ("kept", "gone")
        }
        with following(on_fake) as follower:
            until(lambda: follower.said("turn"), "a turn")
            on_fake.n8n.says(ids["gone"], "by hand", live=True)
            on_fake.n8n.says(ids["kept"], "by hand", live=True)
            until(lambda: said_by(on_fake, "kept") == "one", "the other one is healed")
            follower.stop()
            assert not follower.said("turn", drifted=2)
        repository.text("broken.yaml", "nonsense: [")
        with following(on_fake):
            on_fake.n8n.says(ids["kept"], "by hand", live=True)
            until(lambda: said_by(on_fake, "kept") == "one", "the other one is healed")

        assert "by hand" == said_by(on_fake, "gone")
        assert 0 == on_fake.shell.run("drift").code


def standing(stage: Stage, address: str) -> list[tuple[str, str]]:
    found = stage.shell.ok("status", "-o", "json").document["resources"]
    return [(one["sync"], one["reason"]) for one in found if one["address"] == address]
