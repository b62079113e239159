"""A plan that was kept is carried out exactly, or refused because the world moved on."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import Stage
from tests.doubles.fake_n8n import FakeN8n


@pytest.fixture
def saved(on_fake: Stage) -> Stage:
    """Two automations that are applied, and a plan to change one of them."""
    on_fake.repository.organization().automation("greet", says="one").automation("other")
    on_fake.shell.apply()
    on_fake.repository.automation("greet", says="two")
    assert 2 == on_fake.shell.run("plan", "--out", "kept.json").code
    return on_fake


def refused(stage: Stage, code: int, words: str) -> None:
    done = stage.shell.run("apply", "kept.json", "-y")
    assert code == done.code, done.said
    assert words in done.err


def test_it_is_carried_out(saved: Stage) -> None:
    saved.shell.apply("kept.json")

    assert "two" in str(saved.n8n.workflow("acme greet")["activeVersion"])
    saved.shell.no_changes()


def test_it_is_a_document_of_a_known_version(saved: Stage) -> None:
    document = json.loads((saved.shell.folder / "kept.json").read_text())

    assert "1.0" == document["format_version"]
    assert ["acme/Automation/greet"] == [change["address"] for change in document["changes"]]


def test_what_else_changed_meanwhile_does_not_matter(saved: Stage) -> None:
    saved.n8n.says(saved.n8n.workflow("acme other")["id"], "by hand")

    saved.shell.apply("kept.json")

    assert "by hand" in str(saved.n8n.workflow("acme other")), "it was not part of the plan"


@pytest.mark.parametrize("move", ["n8n", "row", "spec", "applied", "gone"])
def test_it_is_refused_when_its_resource_moved(saved: Stage, fake: FakeN8n, move: str) -> None:
    id_ = saved.n8n.workflow("acme greet")["id"]
    if move == "n8n":
        saved.n8n.says(id_, "by hand")
    elif move == "row":
        saved.rows("UPDATE automations SET name = 'by hand' WHERE name = 'acme greet'")
    elif move == "spec":
        saved.repository.automation("greet", says="three")
    elif move == "gone":
        saved.repository.drop("greet")
    else:
        saved.repository.automation("greet", says="three")
        saved.shell.apply()
        saved.repository.automation("greet", says="two")
    fake.calls.clear()

    refused(saved, 6, "acme/Automation/greet")

    assert [] == fake.writes()


def test_it_is_refused_the_second_time(saved: Stage) -> None:
    saved.shell.apply("kept.json")

    refused(saved, 6, "the world moved on")


def test_a_file_that_was_changed_is_refused(saved: Stage) -> None:
    path = saved.shell.folder / "kept.json"
    path.write_text(path.read_text().replace("two", "six"))

    refused(saved, 64, "changed after it was written")


def test_a_file_of_another_major_version_is_refused(saved: Stage) -> None:
    path = saved.shell.folder / "kept.json"
    path.write_text(path.read_text().replace('"format_version": "1.0"', '"format_version": "2.0"'))

    refused(saved, 64, "2.0")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 1}', "\0"])
def test_a_file_that_is_no_plan_is_refused(saved: Stage, text: str) -> None:
    (saved.shell.folder / "kept.json").write_text(text)

    refused(saved, 64, "plan")


def test_no_secret_is_in_it(on_fake: Stage) -> None:
    on_fake.repository.organization().credential("door", "A_SECRET")
    on_fake.shell.run("plan", "--out", "kept.json")

    text = (on_fake.shell.folder / "kept.json").read_text()

    assert on_fake.shell.env["A_SECRET"] not in text
    assert on_fake.shell.env["ENCRYPTION_KEY"] not in text
    on_fake.shell.apply("kept.json")
    on_fake.shell.no_changes()
    [stored] = on_fake.rows('SELECT "credentialData"::text FROM integration_credentials')
    assert on_fake.shell.env["A_SECRET"] not in str(stored)


def test_a_removal_in_it_needs_no_flag_again_but_stays_guarded(on_fake: Stage) -> None:
    on_fake.repository.organization()
    for name in ("one", "two", "three", "four"):
        on_fake.repository.automation(name)
    on_fake.shell.apply()
    on_fake.repository.drop("one")
    assert 2 == on_fake.shell.run("plan", "--prune", "--out", "kept.json").code

    on_fake.shell.apply("kept.json")

    assert on_fake.n8n.workflow("acme one")["isArchived"]
