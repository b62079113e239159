"""A revision counts as applied when all of it was carried out; rollbacks go by that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import following, said_by, until
from tests.acceptance.repository import Repository
from tests.acceptance.test_following import applied, from_git, says
from tests.acceptance.test_holds import after_a_turn
from tests.doubles.repositories import Team


class Commits:
    """A spec folder in a work tree: two automations, committed, and applied by hand."""

    def __init__(self, stage: Stage) -> None:
        self.stage, folder = stage, stage.shell.folder
        self.env = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
        self.team = Team.alone(folder)
        stage.repository.organization()

    def commit(self, text: str) -> str:
        """Let both automations say *text*; returns the revision."""
        for name in ("greeter", "other"):
            self.stage.repository.automation(name, says=text)
        return self.team.commit(text)[:12]

    def apply(self, *words: str) -> int:
        return self.stage.shell.run("apply", "-y", *words, **self.env).code

    def listed(self) -> list[str]:
        found = self.document("rollback", "--list")
        return [one["revision"] for one in found["applied"]]

    def document(self, *words: str) -> Any:
        return json.loads(self.stage.shell.ok(*words, "-o", "json", **self.env).out)

    def last_applied(self) -> str | None:
        found: str | None = self.document("status")["source"]["applied"]
        return found


@pytest.fixture
def commits(on_fake: Stage) -> Commits:
    """Two revisions, *one* and *two*, both applied."""
    return Commits(on_fake)


def test_what_up_applies_is_noted(commits: Commits) -> None:
    first = commits.commit("one")
    commits.stage.shell.ok("up", "--once", **commits.env)
    assert first == commits.last_applied()


def test_a_commit_that_a_hold_kept_out_is_not_one_to_go_back_from(commits: Commits) -> None:
    stage = commits.stage
    first = commits.commit("one")
    assert 0 == commits.apply()
    second = commits.commit("two")
    assert 0 == commits.apply()
    words = ("--what", "apply", "--until", "never", "--reason", "freeze")
    stage.shell.ok("hold", stage.organization, *words)
    commits.commit("three")
    assert 5 == commits.apply()

    assert [second, first] == commits.listed()
    assert second == commits.last_applied()
    stage.shell.ok("unhold", stage.organization)
    assert first in stage.shell.ok("rollback", "-y", **commits.env).out
    assert "one" == said_by(stage, "greeter")


@pytest.mark.parametrize("narrow", [False, True])
def test_a_commit_that_was_applied_in_part_is_left_for_the_last_whole_one(
    commits: Commits, *, narrow: bool
) -> None:
    stage = commits.stage
    commits.commit("one")
    assert 0 == commits.apply()
    second = commits.commit("two")
    assert 0 == commits.apply()
    third = commits.commit("three")
    greeter = f"{stage.organization}/Automation/greeter"
    if narrow:
        assert 0 == commits.apply("--target", greeter)
    else:
        other = f"{stage.organization}/Automation/other"
        words = ("--what", "apply", "--until", "never", "--reason", "freeze")
        stage.shell.ok("hold", other, *words)
        assert 5 == commits.apply()
    assert "three" == said_by(stage, "greeter")

    assert second == commits.listed()[0]
    assert second == commits.last_applied()
    done = stage.shell.ok("rollback", "-y", **commits.env)
    assert f"Rolled back to {second}" in done.out
    assert "two" == said_by(stage, "greeter")
    assert third == commits.document("status")["holds"][-1]["rolled_back_from"]


def test_one_organization_of_a_commit_is_not_the_commit(commits: Commits) -> None:
    first = commits.commit("one")
    assert 0 == commits.apply("--organization", commits.stage.organization)
    assert [first] == commits.listed()  # there is no other organization
    Repository(commits.stage.repository.root, "zeta").organization()
    commits.team.commit("another organization")
    assert 0 == commits.apply("--organization", commits.stage.organization)
    assert [first] == commits.listed()


def test_status_names_what_the_command_line_applied_last(commits: Commits) -> None:
    first = commits.commit("one")
    assert 0 == commits.apply()
    assert first == commits.last_applied()
    second = commits.commit("two")
    assert 0 == commits.apply()
    assert second == commits.last_applied()
    commits.stage.shell.ok("rollback", "-y", **commits.env)
    assert first == commits.last_applied()


def test_edits_that_no_commit_holds_are_not_noted_as_the_last_applied(commits: Commits) -> None:
    first = commits.commit("one")
    assert 0 == commits.apply()
    commits.stage.repository.automation("greeter", says="edited")
    assert 0 == commits.apply()
    assert "edited" == said_by(commits.stage, "greeter")
    assert first == commits.last_applied()


def test_where_daemons_follow_a_branch_a_folder_is_not_noted(commits: Commits) -> None:
    commits.commit("one")
    commits.env["RECONCILER_GIT_URL"] = "https://git.example/team.git"
    assert 0 == commits.apply()
    assert [] == commits.stage.rows("SELECT applied_revision FROM reconciler.sources")


def test_a_rollback_that_left_something_asks_the_daemon(commits: Commits) -> None:
    stage = commits.stage
    commits.commit("one")
    assert 0 == commits.apply()
    second = commits.commit("two")
    assert 0 == commits.apply()
    other = f"{stage.organization}/Automation/other"
    words = ("--what", "apply", "--until", "never", "--reason", "freeze")
    stage.shell.ok("hold", other, *words)
    assert 5 == stage.shell.run("rollback", "-y", **commits.env).code

    assert second == commits.last_applied()
    assert stage.value("SELECT asked_at FROM reconciler.sources") is not None


def test_a_repair_that_waits_for_a_hold_does_not_keep_commits_out_of_the_list(
    commits: Commits,
) -> None:
    stage = commits.stage
    first = commits.commit("one")
    assert 0 == commits.apply()
    greeter = f"{stage.organization}/Automation/greeter"
    words = ("--what", "heal", "--until", "1h", "--reason", "a hot fix")
    stage.shell.ok("hold", greeter, *words)
    id_ = stage.n8n.workflow(f"{stage.organization} greeter")["id"]
    stage.n8n.says(id_, "by hand", live=True)
    later = []
    for text in ("two", "three"):
        stage.repository.automation("other", says=text)
        later.append(commits.team.commit(text)[:12])
        assert 5 == commits.apply()

    assert [*reversed(later), first] == commits.listed()
    assert later[-1] == commits.last_applied()
    commits.stage.shell.run("rollback", "-y", **commits.env)
    assert "two" == said_by(stage, "other")
    assert "by hand" == said_by(stage, "greeter")
    assert later[0] == commits.last_applied()


class TestFollowed:
    """Daemons go by the same: what they call the last applied one is the first in the list."""

    def test_a_removal_that_a_guard_blocks_does_not_keep_commits_out_of_the_list(
        self, on_fake: Stage, tmp_path: Path
    ) -> None:
        team, repository, env = from_git(on_fake, tmp_path)
        repository.automation("kept", lifecycle={"protected": True})
        env["RECONCILER_PRUNE"] = "true"
        pushed = [team.push()[:12]]
        with following(on_fake, **env):
            until(lambda: applied(on_fake) == pushed[-1], "the first is applied")
            repository.drop("kept")
            for text in ("two", "three"):
                repository.automation("greeter", says=text)
                pushed.append(team.push()[:12])
                until(lambda: applied(on_fake) == pushed[-1], f"{text} is applied")

        assert [*reversed(pushed)] == listed(on_fake, env)
        done = on_fake.shell.run("rollback", "-y", **env)
        assert f"Rolled back to {pushed[1]}" in done.out, done.said

    def test_what_lacks_a_secret_keeps_a_commit_from_counting_as_applied(
        self, on_fake: Stage, tmp_path: Path
    ) -> None:
        team, repository, env = from_git(on_fake, tmp_path)
        first = team.head()[:12]
        with following(on_fake, **env):
            until(lambda: applied(on_fake) == first, "the first is applied")
            repository.credential("key", env="NOT_SET_ANYWHERE").automation("greeter", says="two")
            team.push()
            says(on_fake, "greeter", "two")
            after_a_turn(on_fake)
            assert first == applied(on_fake)

        assert [first] == listed(on_fake, env)


def listed(stage: Stage, env: dict[str, str]) -> list[str]:
    found = stage.shell.ok("rollback", "--list", "-o", "json", **env).document["applied"]
    return [one["revision"] for one in found]
