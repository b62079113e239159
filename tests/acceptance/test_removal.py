"""Nothing is removed unless asked for, nothing protected at all, and what was removed can come back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.records import inventory
from tests.doubles.fake_n8n import FakeN8n

NAMES = ("one", "two", "three", "four", "five")


def five(stage: Stage, **more: Any) -> None:
    """Apply an organization with five automations: one of six may go without being asked."""
    stage.repository.organization()
    for name in NAMES:
        stage.repository.automation(name, **more)
    stage.shell.apply()


def left(stage: Stage) -> set[str]:
    """The automations that n8n has and that are not archived."""
    found = stage.n8n.workflows(stage.organization)
    return {w["name"].rpartition(" ")[2] for w in found if not w["isArchived"]}


def test_without_prune_nothing_is_removed(on_fake: Stage, fake: FakeN8n) -> None:
    five(on_fake)
    on_fake.repository.drop("one")
    fake.calls.clear()

    planned = on_fake.shell.run("plan")
    on_fake.shell.apply()

    assert 0 == planned.code
    assert "acme/Automation/one" in planned.out
    assert [] == fake.writes()
    assert set(NAMES) == left(on_fake)


def test_prune_archives_and_keeps_the_history(on_fake: Stage) -> None:
    five(on_fake)
    row_id, object_id, _ = inventory(on_fake.database_url)["acme/Automation/one"]
    on_fake.rows(
        'INSERT INTO workflow_executions (id, "automationId", "orgId", status, "triggerData", '
        "\"updatedAt\") SELECT 'e1', id, \"orgId\", 'SUCCESS', '{}', now() "
        "FROM automations WHERE id = %s",
        row_id,
    )
    on_fake.repository.drop("one")

    planned = on_fake.shell.run("plan", "--prune")
    on_fake.shell.apply("--prune")

    assert (2, True) == (planned.code, "1 to remove" in planned.last)
    assert on_fake.n8n.call("GET", f"/workflows/{object_id}")["isArchived"]
    assert [(False,)] == on_fake.rows('SELECT "isActive" FROM automations WHERE id = %s', row_id)
    assert row_id == on_fake.value('SELECT "automationId" FROM workflow_executions')
    assert (row_id, object_id, True) == inventory(on_fake.database_url)["acme/Automation/one"]
    assert 0 == on_fake.shell.run("plan", "--prune").code


@pytest.mark.n8n
def test_what_is_declared_again_comes_back_with_its_ids(on_real: Stage) -> None:
    five(on_real)
    address = f"{on_real.organization}/Automation/one"
    ids = inventory(on_real.database_url)[address]
    on_real.repository.drop("one")
    on_real.shell.apply("--prune")
    assert on_real.n8n.call("GET", f"/workflows/{ids[1]}")["isArchived"]

    on_real.repository.automation("one")
    on_real.shell.apply()

    assert ids == inventory(on_real.database_url)[address]
    workflow = on_real.n8n.call("GET", f"/workflows/{ids[1]}")
    assert (False, True) == (workflow["isArchived"], workflow["active"])
    assert len(NAMES) == len(on_real.n8n.workflows(on_real.organization))
    on_real.shell.no_changes()


def test_what_is_protected_stays_even_when_the_flag_went_with_the_file(on_fake: Stage) -> None:
    five(on_fake, lifecycle={"protected": True})
    on_fake.repository.drop("one")

    planned = on_fake.shell.run("plan", "--prune", "--allow-remove", "9")
    applied = on_fake.shell.run("apply", "--prune", "--allow-remove", "9", "-y")

    assert (5, 5) == (planned.code, applied.code)
    assert "! acme/Automation/one" in planned.out
    assert "protected" in planned.out
    assert set(NAMES) == left(on_fake)


def test_protection_that_was_taken_back_in_a_commit_allows_removal(on_fake: Stage) -> None:
    five(on_fake, lifecycle={"protected": True})
    on_fake.repository.automation("one", lifecycle={"protected": False})
    on_fake.shell.apply()
    on_fake.repository.drop("one")

    on_fake.shell.apply("--prune")

    assert set(NAMES) - {"one"} == left(on_fake)


def test_too_many_removals_are_blocked_until_they_are_allowed(on_fake: Stage) -> None:
    five(on_fake)
    on_fake.repository.drop("one").drop("two")

    planned = on_fake.shell.run("plan", "--prune")
    refused = on_fake.shell.run("apply", "--prune", "-y")

    assert (5, 5) == (planned.code, refused.code)
    assert "--allow-remove 2" in planned.out
    assert set(NAMES) == left(on_fake)
    assert 5 == on_fake.shell.run("apply", "--prune", "-y", "--allow-remove", "1").code
    assert set(NAMES) == left(on_fake)
    on_fake.shell.apply("--prune", "--allow-remove", "2")
    assert set(NAMES) - {"one", "two"} == left(on_fake)


def test_a_refused_removal_does_not_stop_other_changes(on_fake: Stage) -> None:
    five(on_fake)
    on_fake.repository.drop("one").drop("two").automation("six")

    done = on_fake.shell.run("apply", "--prune", "-y")

    assert 5 == done.code, done.said
    assert {*NAMES, "six"} == left(on_fake)


def test_an_empty_spec_folder_removes_nothing(on_fake: Stage) -> None:
    five(on_fake)
    for path in on_fake.repository.home.glob("*.yaml"):
        path.unlink()

    words = ("--prune", "--allow-remove", "9", "--organization", "acme")
    planned = on_fake.shell.run("plan", *words)
    applied = on_fake.shell.run("apply", "-y", *words)

    assert (5, 5) == (planned.code, applied.code), planned.said
    assert set(NAMES) == left(on_fake)


def test_a_missing_spec_folder_is_an_error_and_removes_nothing(on_fake: Stage) -> None:
    five(on_fake)

    done = on_fake.shell.run("apply", "-y", "--prune", "--specs", "elsewhere")

    assert 78 == done.code
    assert set(NAMES) == left(on_fake)


def test_a_spec_folder_with_a_mistake_removes_nothing(on_fake: Stage) -> None:
    five(on_fake)
    on_fake.repository.drop("one").text("two.yaml", "kind: Automation\nspec: [")

    done = on_fake.shell.run("apply", "-y", "--prune")

    assert 3 == done.code
    assert set(NAMES) == left(on_fake)


def test_a_credential_that_is_used_goes_after_its_user(on_fake: Stage) -> None:
    five(on_fake)
    on_fake.repository.credential("door", "A_SECRET")
    on_fake.shell.apply()
    id_ = inventory(on_fake.database_url)["acme/Credential/door"][1]
    on_fake.repository.drop("door")

    on_fake.shell.apply("--prune")

    assert id_ not in {c["id"] for c in on_fake.n8n.credentials()}
    assert 0 == on_fake.shell.run("plan", "--prune").code
