"""The daemon follows a spec folder or a git branch: applies, heals, holds back, and survives."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import following, said_by, until
from tests.acceptance.repository import Repository, says_workflow
from tests.doubles.repositories import Team, git


def says(stage: Stage, name: str, text: str | None) -> None:
    """Wait until the automation *name* says *text*."""
    until(lambda: said_by(stage, name) == text, f"{name} says {text}")


def id_of(stage: Stage, name: str) -> str:
    id_: str = stage.n8n.workflow(f"{stage.organization} {name}")["id"]
    return id_


def from_git(stage: Stage, tmp_path: Path) -> tuple[Team, Repository, dict[str, str]]:
    """Make a repository with the specs of one automation; tells how the daemon finds it."""
    team = Team.begin(tmp_path)
    repository = Repository(team.clone / "specs", stage.organization).organization()
    repository.automation("greeter", says="one")
    team.push()
    env = {
        "RECONCILER_GIT_URL": team.url,
        "RECONCILER_GIT_PATH": "specs",
        "RECONCILER_GIT_INSECURE": "true",
    }
    return team, repository, env


class TestBranch:
    """A commit that is pushed is applied; what is edited by hand is put back."""

    def test_a_push_is_applied_and_a_hand_edit_healed(self, on_fake: Stage, tmp_path: Path) -> None:
        self._check(on_fake, tmp_path)

    @pytest.mark.n8n
    def test_the_same_on_a_real_n8n(self, on_real: Stage, tmp_path: Path) -> None:
        self._check(on_real, tmp_path)

    def _check(self, stage: Stage, tmp_path: Path) -> None:
        team, repository, env = from_git(stage, tmp_path)
        with following(stage, **env) as follower:
            says(stage, "greeter", "one")
            repository.automation("greeter", says="two")
            commit = team.push()
            says(stage, "greeter", "two")
            until(lambda: applied(stage) == commit[:12], "the commit is recorded")
            stage.n8n.says(id_of(stage, "greeter"), "by hand", live=True)
            says(stage, "greeter", "two")
            follower.stop()

        outcomes = stage.rows("SELECT DISTINCT outcome FROM reconciler.operations")
        assert {outcome for (outcome,) in outcomes} <= {"done", "interrupted"}
        kinds = stage.rows("SELECT DISTINCT kind FROM reconciler.operations")
        assert [("reconcile",)] == kinds


def applied(stage: Stage) -> str | None:
    [(found,)] = stage.rows("SELECT applied_revision FROM reconciler.sources") or [(None,)]
    return None if found is None else str(found)


def problem(stage: Stage) -> str | None:
    [(found,)] = stage.rows("SELECT problem FROM reconciler.sources") or [(None,)]
    return None if found is None else str(found)


def test_an_invalid_commit_leaves_the_last_good_one_in_force(
    on_fake: Stage, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env):
        says(on_fake, "greeter", "one")
        repository.automation("greeter", says="two")
        repository.text("broken.yaml", "apiVersion: reconciler/v1\nkind: Automatn\n")
        team.push()
        until(lambda: problem(on_fake), "the problem is told")
        on_fake.n8n.says(id_of(on_fake, "greeter"), "by hand", live=True)
        says(on_fake, "greeter", "one")
        assert "broken.yaml" in (problem(on_fake) or "")
        assert "broken.yaml" in on_fake.shell.ok("status", **env).out

        repository.drop("broken")
        team.push()
        says(on_fake, "greeter", "two")
        until(lambda: problem(on_fake) is None, "the problem is over")


def test_a_restart_with_an_invalid_commit_still_heals_to_the_last_good_one(
    on_fake: Stage, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env):
        says(on_fake, "greeter", "one")
        until(lambda: applied(on_fake), "it is applied")
    repository.text("broken.yaml", "nonsense: [")
    team.push()
    on_fake.n8n.says(id_of(on_fake, "greeter"), "by hand", live=True)
    with following(on_fake, **env):
        says(on_fake, "greeter", "one")


@pytest.mark.parametrize("loss", ["branch", "files", "history", "folder"])
def test_nothing_is_removed_when_the_source_is_lost(
    on_fake: Stage, tmp_path: Path, loss: str
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    repository.automation("second", says="here")
    team.push()
    with following(on_fake, RECONCILER_PRUNE="true", **env) as follower:
        says(on_fake, "second", "here")
        until(lambda: applied(on_fake) == team.head()[:12], "it is applied")
        if loss == "branch":
            git(team.bare, "update-ref", "-d", "refs/heads/main")
        elif loss == "files":
            team.git("rm", "-r", "--quiet", "specs/organizations")
            team.write("specs/README.md", "moved elsewhere")
            team.push()
        elif loss == "folder":
            team.git("mv", "specs", "automations")
            team.push()
        else:
            repository.drop("second")
            team.git("checkout", "--quiet", "--orphan", "fresh")
            team.push()
        if loss == "history":
            found = "SELECT rewritten_from FROM reconciler.sources WHERE rewritten_from IS NOT NULL"
            until(lambda: on_fake.rows(found), "the rewriting is told")
        else:
            until(lambda: problem(on_fake), "the loss is told")
        on_fake.n8n.says(id_of(on_fake, "second"), "by hand", live=True)
        if loss != "history":
            says(on_fake, "second", "here")
        until(lambda: len(follower.said("turn")) >= 1)
        assert not on_fake.n8n.workflow(f"{on_fake.organization} second")["isArchived"]
        assert not on_fake.n8n.workflow(f"{on_fake.organization} greeter")["isArchived"]


def test_what_is_dropped_in_an_ordinary_commit_is_removed_where_the_daemon_may(
    on_fake: Stage, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    for number in range(9):
        repository.automation(f"other-{number}")
    team.push()
    with following(on_fake, RECONCILER_PRUNE="true", **env):
        says(on_fake, "other-8", "hello")
        repository.drop("greeter")
        team.push()
        says(on_fake, "greeter", None)


class TestSwitches:
    """Applying commits and healing drift are two things."""

    def test_heal_without_apply(self, on_fake: Stage, tmp_path: Path) -> None:
        team, repository, env = from_git(on_fake, tmp_path)
        with following(on_fake, **env):
            says(on_fake, "greeter", "one")
            until(lambda: applied(on_fake), "it is applied")
        repository.automation("greeter", says="two").automation("fresh")
        team.push()
        with following(on_fake, RECONCILER_APPLY_COMMITS="false", **env) as follower:
            until(lambda: follower.said("turn"), "a turn")
            on_fake.n8n.says(id_of(on_fake, "greeter"), "by hand", live=True)
            says(on_fake, "greeter", "one")
            assert said_by(on_fake, "fresh") is None

    def test_apply_without_heal(self, on_fake: Stage, tmp_path: Path) -> None:
        team, repository, env = from_git(on_fake, tmp_path)
        with following(on_fake, RECONCILER_HEAL_DRIFT="false", **env) as follower:
            says(on_fake, "greeter", "one")
            on_fake.n8n.says(id_of(on_fake, "greeter"), "by hand", live=True)
            turns = len(follower.said("turn"))
            repository.automation("fresh", says="new")
            team.push()
            says(on_fake, "fresh", "new")
            until(lambda: len(follower.said("turn")) > turns, "a turn")
            assert said_by(on_fake, "greeter") == "by hand"


def test_two_daemons_take_turns_and_one_goes_on_when_the_other_is_killed(
    on_fake: Stage, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env) as first, following(on_fake, **env) as second:
        says(on_fake, "greeter", "one")
        repository.automation("greeter", says="two")
        team.push()
        says(on_fake, "greeter", "two")
        first.kill()
        repository.automation("greeter", says="three")
        team.push()
        says(on_fake, "greeter", "three")
        second.stop()

    assert 1 == len(on_fake.n8n.workflows(f"{on_fake.organization} greeter"))
    open_ = "SELECT count(*) FROM reconciler.operations WHERE outcome IN ('failed', 'partly')"
    assert 0 == on_fake.value(open_)


class TestKilled:
    """A daemon that is killed while it applies is finished by the next one."""

    def test_nothing_is_made_twice(self, on_fake: Stage) -> None:
        self._check(on_fake)

    @pytest.mark.n8n
    def test_nothing_is_made_twice_on_a_real_n8n(self, on_real: Stage) -> None:
        self._check(on_real)

    def _check(self, stage: Stage) -> None:
        repository = stage.repository.organization()
        names = [f"a-{number:02}" for number in range(12)]
        for name in names:
            repository.automation(name, says=name)
        for reached in (2, 6):
            with following(stage) as first:
                until(lambda n=reached: len(stage.n8n.workflows(stage.organization)) >= n)  # type: ignore[misc]
                first.kill()
        with following(stage):
            for name in names:
                says(stage, name, name)
        assert len(names) == len(stage.n8n.workflows(f"{stage.organization} a-"))


def test_a_stopped_daemon_does_not_keep_others_from_working(on_fake: Stage, tmp_path: Path) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env) as first, following(on_fake, **env):
        says(on_fake, "greeter", "one")
        os.kill(first.running.pid, signal.SIGSTOP)
        try:
            repository.automation("greeter", says="two")
            team.push()
            says(on_fake, "greeter", "two")
        finally:
            os.kill(first.running.pid, signal.SIGCONT)


def test_one_resource_that_fails_waits_longer_and_longer_and_the_others_go_on(
    on_fake: Stage, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env) as follower:
        says(on_fake, "greeter", "one")
        repository.automation("greeter", says="two")
        repository.automation("bad", title=f"{on_fake.organization} bad")
        repository.workflow("bad", unpublishable())
        team.push()
        says(on_fake, "greeter", "two")
        until(lambda: failure(on_fake, "bad"), "the failure is kept")
        first = failure(on_fake, "bad")
        until(lambda: len(follower.said("turn")) >= 2)
        time.sleep(4)
        assert failure(on_fake, "bad") in {1, 2}, first
        assert "bad" in on_fake.shell.ok("status", **env).out
        repository.automation("bad", says="good now")
        team.push()
        says(on_fake, "bad", "good now")
        until(lambda: failure(on_fake, "bad") is None, "the failure is forgotten")


def failure(stage: Stage, name: str) -> int | None:
    query = (
        "SELECT (conditions->0->>'failures')::int FROM reconciler.resources "
        "WHERE kind = 'Automation' AND name = %s"
    )
    [(found,)] = stage.rows(query, name) or [(None,)]
    return found if isinstance(found, int) else None


def unpublishable() -> object:
    """A workflow that n8n saves and refuses to publish."""
    document = says_workflow("never")
    document["nodes"][1]["parameters"] = {"mode": "raw", "jsonOutput": ""}
    document["nodes"].append(
        {
            "parameters": {},
            "type": "n8n-nodes-base.httpRequest",
            "typeVersion": 4.2,
            "position": [440, 0],
            "name": "Call",
        }
    )
    document["connections"]["Say"] = {"main": [[{"node": "Call", "type": "main", "index": 0}]]}
    return document


def test_a_signed_push_is_applied_long_before_the_next_poll(on_fake: Stage, tmp_path: Path) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    slow = {"RECONCILER_POLL_INTERVAL": "600", "RECONCILER_DRIFT_INTERVAL": "600"}
    secret = "a made-up push secret"
    roles = {"RECONCILER_ROLES": "reconciler,api", "RECONCILER_PUSH_SECRET": secret}
    with following(on_fake, **env, **slow, **roles) as follower:
        says(on_fake, "greeter", "one")
        until(lambda: applied(on_fake), "it is applied")
        [listening] = follower.said("listening")
        repository.automation("greeter", says="two")
        team.push()
        body = json.dumps({"ref": "refs/heads/main"}).encode()
        mark = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

        with httpx.Client(base_url=listening["url"], trust_env=False) as client:
            forged = client.post("/api/push", content=body, headers={"X-Hub-Signature-256": "no"})
            other = client.post("/api/push", content=b"{}", headers={"X-Gitlab-Token": secret})
            header = {"X-Hub-Signature-256": f"sha256={mark}"}
            pushed = client.post("/api/push", content=body, headers=header)

        assert [forged.status_code, other.status_code, pushed.status_code] == [401, 202, 202]
        assert [other.json()["looking"], pushed.json()["looking"]] == [False, True]
        says(on_fake, "greeter", "two")
