"""The world moves on while a question is open: what is done then, and what is recorded of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import said_by
from tests.acceptance.shell import Done
from tests.acceptance.terminal import Terminal, at_terminal
from tests.acceptance.test_following import applied
from tests.doubles.repositories import Team

ASKS = "[y/N]"
OTHER = "acme/Automation/other"


class Commits:
    """A spec folder in a work tree: two automations, whose first commit is applied."""

    def __init__(self, stage: Stage) -> None:
        self.stage, folder = stage, stage.shell.folder
        stage.shell.env["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
        self.repository = stage.repository.organization()
        self.repository.automation("greeter", says="one").automation("other", says="one")
        self.team = Team.alone(folder)
        self.first = self.team.commit("first")[:12]
        stage.shell.apply()

    def commit(self, name: str, says: str) -> str:
        self.repository.automation(name, says=says)
        return self.team.commit(f"{name} says {says}")[:12]

    def listed(self) -> list[str]:
        found = self.stage.shell.ok("rollback", "--list", "-o", "json").document["applied"]
        return [one["revision"] for one in found]


@pytest.fixture
def commits(on_fake: Stage) -> Commits:
    return Commits(on_fake)


def yes(person: Terminal) -> Done:
    person.type(b"y\n")
    return person.end()


def test_a_rollback_is_not_done_by_half_when_more_was_applied_while_it_asked(
    commits: Commits,
) -> None:
    stage = commits.stage
    second = commits.commit("greeter", "two")
    stage.shell.apply()
    with at_terminal(stage.shell, "rollback", commits.first) as person:
        person.until(ASKS)
        third = commits.commit("other", "two")
        stage.shell.apply("--lock-timeout", "0")
        done = yes(person)

    assert done.code == 6, done.said
    assert "the world moved on" in done.out
    assert f"{OTHER}: it would change as well by now (changed in git)" in done.out
    assert stage.rows("SELECT 1 FROM reconciler.holds") == []
    assert [third, second, commits.first] == commits.listed()
    stage.shell.ok("rollback", commits.first, "-y")
    assert ["one", "one"] == [said_by(stage, name) for name in ("greeter", "other")]


def test_what_a_rollback_left_because_it_is_held_by_now_is_told(commits: Commits) -> None:
    stage = commits.stage
    second = commits.commit("greeter", "two")
    stage.shell.apply()
    with at_terminal(stage.shell, "rollback", commits.first) as person:
        person.until(ASKS)
        commits.commit("other", "two")
        stage.shell.apply("--target", OTHER, "--lock-timeout", "0")
        stage.shell.ok("hold", OTHER, "--what", "apply", "--until", "1h", "--reason", "INC-42")
        done = yes(person)

    assert (done.code, "INC-42" in done.out) == (5, True), done.said
    assert ["one", "two"] == [said_by(stage, name) for name in ("greeter", "other")]
    assert second == applied(stage)
    assert stage.value("SELECT asked_at FROM reconciler.sources") is not None


def test_a_commit_that_changes_more_than_was_agreed_to_spoils_the_answer(commits: Commits) -> None:
    stage = commits.stage
    commits.commit("greeter", "two")
    with at_terminal(stage.shell, "apply") as person:
        person.until(ASKS)
        commits.commit("other", "two")
        done = yes(person)

    assert (done.code, f"{OTHER}: it would change as well" in done.out) == (6, True), done.said
    assert ["one", "one"] == [said_by(stage, name) for name in ("greeter", "other")]
    assert commits.first == applied(stage)


@pytest.mark.parametrize("words", [("apply",), ("rollback",)], ids=" ".join)
def test_a_hand_edit_of_something_else_does_not_spoil_the_answer(
    commits: Commits, words: tuple[str, ...]
) -> None:
    stage = commits.stage
    revision = commits.commit("greeter", "two")
    if words == ("rollback",):
        stage.shell.apply()
        revision = commits.first
    with at_terminal(stage.shell, *words) as person:
        person.until(ASKS)
        stage.n8n.says(stage.n8n.workflow("acme other")["id"], "by hand", live=True)
        done = yes(person)

    assert done.code == 0, done.said
    assert "by hand" == said_by(stage, "other")
    assert revision == applied(stage) == commits.listed()[0]


@pytest.mark.parametrize("meanwhile", ["words", "applied"])
def test_the_commit_that_is_in_force_after_a_late_answer_is_the_one_recorded(
    commits: Commits, meanwhile: str
) -> None:
    stage = commits.stage
    commits.commit("greeter", "two")
    with at_terminal(stage.shell, "apply") as person:
        person.until(ASKS)
        if meanwhile == "applied":
            newest = commits.commit("other", "two")
            stage.shell.apply("--target", OTHER, "--lock-timeout", "0")
        else:
            commits.team.write("README.md", "nothing that is applied")
            newest = commits.team.commit("words")[:12]
        done = yes(person)

    assert done.code == 0, done.said
    assert "two" == said_by(stage, "greeter")
    assert [newest, commits.first] == commits.listed()
    assert newest == applied(stage)


def test_a_repair_leaves_alone_what_was_taken_out_of_the_specs_while_it_asked(
    commits: Commits,
) -> None:
    stage = commits.stage
    stage.n8n.says(stage.n8n.workflow("acme other")["id"], "by hand", live=True)
    with at_terminal(stage.shell, "drift", "--repair") as person:
        person.until(ASKS)
        commits.repository.drop("other")
        done = yes(person)

    assert done.code == 6, done.said
    assert f"{OTHER}: it need not change any more" in done.out
    assert "by hand" == said_by(stage, "other")


def test_a_rollback_ends_at_the_moment_that_was_named_however_late_the_answer(
    commits: Commits,
) -> None:
    stage = commits.stage
    commits.commit("greeter", "two")
    stage.shell.apply()
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    with at_terminal(stage.shell, "rollback", "--until", moment.isoformat()) as person:
        person.until(ASKS)
        time.sleep(5)
        done = yes(person)

    assert done.code == 0, done.said
    [hold] = stage.shell.ok("hold", "-o", "json").document["holds"]
    assert abs(datetime.fromisoformat(hold["until"]) - moment) < timedelta(seconds=2)


class TestSavedPlan:
    """It is carried out as it says; what is recorded is what is in force then."""

    def plan(self, commits: Commits) -> str:
        planned = commits.commit("greeter", "two")
        assert commits.stage.shell.run("plan", "--out", "kept.json").code == 2
        return planned

    def test_its_own_commit_counts_though_the_file_lies_beside_the_specs(
        self, commits: Commits
    ) -> None:
        planned = self.plan(commits)
        commits.stage.shell.apply("kept.json")
        assert [planned, commits.first] == commits.listed()
        assert planned == applied(commits.stage)

    def test_where_git_can_not_be_asked_its_own_commit_counts(self, commits: Commits) -> None:
        planned, folder = self.plan(commits), commits.stage.shell.folder
        (folder / ".git").rename(folder / "elsewhere")
        commits.stage.shell.apply("kept.json")
        (folder / "elsewhere").rename(folder / ".git")
        assert [planned, commits.first] == commits.listed()
        assert planned == applied(commits.stage)

    def test_a_later_commit_is_not_applied_by_it_and_does_not_count(self, commits: Commits) -> None:
        stage = commits.stage
        self.plan(commits)
        (stage.shell.folder / ".gitignore").write_text("kept.json\n.reconciler/\n", "utf-8")
        commits.commit("other", "two")
        stage.shell.apply("kept.json")

        assert ["two", "one"] == [said_by(stage, name) for name in ("greeter", "other")]
        assert [commits.first] == commits.listed()
        assert commits.first == applied(stage)

    def test_a_later_commit_that_is_in_force_with_it_counts(self, commits: Commits) -> None:
        stage = commits.stage
        self.plan(commits)
        (stage.shell.folder / ".gitignore").write_text("kept.json\n.reconciler/\n", "utf-8")
        later = commits.commit("other", "two")
        stage.shell.apply("--target", OTHER)
        stage.shell.apply("kept.json")

        assert [later, commits.first] == commits.listed()
        assert later == applied(stage)
