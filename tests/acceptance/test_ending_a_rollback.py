"""What ends a rollback, and what does not: another hold at the same place, a commit without specs."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Stage
from tests.doubles.repositories import Team


@pytest.fixture
def rolled_back(on_fake: Stage) -> tuple[Stage, Team]:
    """Everything is held from firing, and the second of two commits was rolled back."""
    folder = on_fake.shell.folder
    on_fake.shell.env["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
    repository = on_fake.repository.organization().automation("greeter", says="one")
    team = Team.alone(folder)
    team.commit("first")
    on_fake.shell.apply()
    repository.automation("greeter", says="broken")
    team.commit("second")
    on_fake.shell.apply()
    on_fake.shell.ok("hold", "/", "--what", "fire", "--until", "1h", "--reason", "INC-9")
    on_fake.shell.ok("rollback", "-y")
    return on_fake, team


def test_a_rollback_with_nothing_to_do_says_nothing_beside_its_document(
    rolled_back: tuple[Stage, Team],
) -> None:
    stage, _ = rolled_back
    first = stage.shell.ok("hold", "-o", "json").document["holds"][1]["pinned"]
    done = stage.shell.ok("rollback", first, "-y", "-o", "json")
    assert (done.err, isinstance(done.document, dict)) == ("", True), done.said


def held(stage: Stage) -> list[tuple[list[str], bool]]:
    """What is held, and whether that is a rollback."""
    holds = stage.shell.ok("hold", "-o", "json").document["holds"]
    return [(hold["what"], hold["pinned"] is not None) for hold in holds]


def test_runs_go_on_while_the_rollback_stays(rolled_back: tuple[Stage, Team]) -> None:
    stage, _ = rolled_back
    assert held(stage) == [(["fire"], False), (["apply"], True)]
    stage.shell.ok("unhold", "/", "--what", "fire")
    assert held(stage) == [(["apply"], True)]
    assert stage.shell.run("unhold", "/", "--what", "fire").code == 64


def test_the_rollback_ends_while_runs_still_wait(rolled_back: tuple[Stage, Team]) -> None:
    stage, _ = rolled_back
    assert stage.shell.run("unhold", "/", "--what", "rollback").code == 5
    stage.shell.ok("unhold", "/", "--what", "rollback", "--anyway")
    assert held(stage) == [(["fire"], False)]


def test_a_commit_that_changes_no_spec_does_not_bring_back_what_was_rolled_back(
    rolled_back: tuple[Stage, Team],
) -> None:
    stage, team = rolled_back
    team.write("README.md", "nothing that is applied")
    path = stage.repository.home / "greeter.yaml"
    path.write_text(f"# a remark\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    newest = team.commit("words")[:12]

    refused = stage.shell.run("unhold", "/")

    assert (refused.code, newest in refused.err) == (5, True), refused.said
    assert "which was rolled back" in refused.err
    assert len(held(stage)) == 2

    stage.repository.automation("greeter", says="fixed")
    team.commit("a fix")
    stage.shell.ok("unhold", "/")
    assert held(stage) == []


@pytest.mark.parametrize("output", ["text", "json"])
def test_where_nothing_is_held_nothing_ends(on_fake: Stage, output: str) -> None:
    assert on_fake.shell.run("unhold", "acme", "-o", output).code == 64
    wrong = on_fake.shell.run("unhold", "/", "--what", "sleep", "-o", output)
    assert (wrong.code, "rollback" in wrong.err) == (64, True), wrong.said
