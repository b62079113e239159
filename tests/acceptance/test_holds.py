"""Holds keep single things as they are; a rollback stays until somebody ends it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from reconciler.store.database import Database
from tests.acceptance.conftest import Stage
from tests.acceptance.fleet import fleet
from tests.acceptance.follower import following, said_by, until
from tests.acceptance.plant import Plant, quick
from tests.acceptance.test_following import applied, from_git, id_of, says
from tests.acceptance.test_running import Desk
from tests.doubles.repositories import Team


def address(stage: Stage, name: str) -> str:
    return f"{stage.organization}/Automation/{name}"


def turned(stage: Stage) -> object:
    return stage.value("SELECT turned_at FROM reconciler.sources")


def after_a_turn(stage: Stage) -> None:
    """Wait until a turn has begun and ended after now."""
    for _ in range(2):
        before = turned(stage)
        until(lambda before=before: turned(stage) != before, "a turn")  # type: ignore[misc]


def test_a_hot_fix_survives_unrelated_commits_and_ends_with_the_hold(
    on_fake: Stage, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    held = address(on_fake, "greeter")
    with following(on_fake, **env):
        says(on_fake, "greeter", "one")
        on_fake.shell.ok("hold", held, "--until", "2h", "--reason", "INC-42")
        on_fake.n8n.says(id_of(on_fake, "greeter"), "hot fix", live=True)
        for number in range(3):
            repository.automation(f"other-{number}", says="new")
            team.push()
        repository.automation("greeter", says="two")
        team.push()
        says(on_fake, "other-2", "new")
        after_a_turn(on_fake)
        assert said_by(on_fake, "greeter") == "hot fix"
        shown = on_fake.shell.ok("status", **env).out
        assert "INC-42" in shown
        assert held in shown

        on_fake.shell.ok("unhold", held)
        says(on_fake, "greeter", "two")


def test_held_from_commits_it_is_still_healed(on_fake: Stage, tmp_path: Path) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env):
        says(on_fake, "greeter", "one")
        after_a_turn(on_fake)
        applied = on_fake.shell.ok("rollback", "--list", "-o", "json", **env).document["applied"]
        words = ("--what", "apply", "--until", "never", "--reason", "freeze")
        on_fake.shell.ok("hold", on_fake.organization, *words)
        repository.automation("greeter", says="two").automation("fresh")
        team.push()
        after_a_turn(on_fake)
        listed = on_fake.shell.ok("rollback", "--list", "-o", "json", **env).document["applied"]
        assert listed == applied != []  # what waits for a hold was not applied
        on_fake.n8n.says(id_of(on_fake, "greeter"), "by hand", live=True)
        says(on_fake, "greeter", "one")
        assert said_by(on_fake, "fresh") is None


def test_a_hold_ends_by_itself(on_fake: Stage) -> None:
    repository = on_fake.repository.organization().automation("greeter", says="one")
    on_fake.shell.apply()
    held = address(on_fake, "greeter")
    on_fake.shell.ok("hold", held, "--until", "3s", "--reason", "soon over")
    repository.automation("greeter", says="two")
    blocked = on_fake.shell.run("apply", "-y")
    assert blocked.code == 5, blocked.said
    assert "soon over" in blocked.out
    until(lambda: on_fake.shell.run("apply", "-y").code == 0, "the hold ends")
    assert said_by(on_fake, "greeter") == "two"


def test_what_is_let_go_is_applied_long_before_the_next_look_at_drift(on_fake: Stage) -> None:
    repository = on_fake.repository.organization().automation("greeter", says="one")
    slow = {"RECONCILER_POLL_INTERVAL": "600", "RECONCILER_DRIFT_INTERVAL": "600"}
    with following(on_fake, **slow):
        says(on_fake, "greeter", "one")
        words = ("--what", "apply", "--reason", "freeze")
        on_fake.shell.ok("hold", on_fake.organization, "--until", "never", *words)
        before = turned(on_fake)
        repository.automation("greeter", says="two")
        until(lambda: turned(on_fake) != before, "the turn that must not apply it")
        assert said_by(on_fake, "greeter") == "one"
        on_fake.shell.ok("unhold", on_fake.organization)
        says(on_fake, "greeter", "two")

        on_fake.shell.ok("hold", on_fake.organization, "--until", "4s", *words)
        repository.automation("greeter", says="three")
        says(on_fake, "greeter", "three")


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("hold", "{o}/Automation/greter", "--until", "1h", "--reason", "x"), 64, "did you mean"),
        (("hold", "{o}", "--reason", "x"), 64, "--until"),
        (("hold", "{o}", "--until", "yesterday", "--reason", "x"), 64, "never"),
        (("hold", "{o}", "--until", "2020-01-01", "--reason", "x"), 64, "over already"),
        (("hold", "{o}", "--what", "sleep", "--until", "1h", "--reason", "x"), 64, "heal"),
        (("hold", "{o}/Trigger/a", "--what", "fire", "--until", "1h", "--reason", "x"), 64, "Auto"),
        (("hold", "a/b/c/d", "--until", "1h", "--reason", "x"), 64, "organization"),
        (("unhold", "{o}"), 64, "nothing is held"),
        (("rollback", "abcdef012345"), 64, "never applied"),
        (("rollback",), 64, "no revision was applied"),
        (("rollback", ""), 64, "is empty"),
        (("executions", "watch", "--for", "99999999999d"), 64, "too long"),
    ],
)
def test_a_wrong_word_is_explained(
    on_fake: Stage, words: tuple[str, ...], code: int, said: str
) -> None:
    on_fake.repository.organization().automation("greeter")
    on_fake.shell.apply()

    done = on_fake.shell.run(*(word.replace("{o}", on_fake.organization) for word in words))

    assert (done.code, said in done.err) == (code, True), done.said


class TestRollback:
    """Back to what was applied, and no further until somebody says so."""

    def test_it_is_sticky_and_needs_a_newer_commit_and_unhold(
        self, on_fake: Stage, tmp_path: Path
    ) -> None:
        self._check(on_fake, tmp_path)

    @pytest.mark.n8n
    def test_the_same_on_a_real_n8n(self, on_real: Stage, tmp_path: Path) -> None:
        self._check(on_real, tmp_path)

    def _check(self, stage: Stage, tmp_path: Path) -> None:
        team, repository, env = from_git(stage, tmp_path)
        first = team.head()[:12]
        with following(stage, **env):
            says(stage, "greeter", "one")
            until(lambda: applied(stage) == first, "the first commit is recorded")
            repository.automation("greeter", says="broken")
            bad = team.push()[:12]
            until(lambda: applied(stage) == bad, "the bad commit is applied")

            done = stage.shell.ok(
                "rollback", "-y", "--reason", "INC-7", "--lock-timeout", "20", **env
            )
            assert f"Rolled back to {first}" in done.out
            says(stage, "greeter", "one")
            after_a_turn(stage)
            assert said_by(stage, "greeter") == "one"
            stage.n8n.says(id_of(stage, "greeter"), "by hand", live=True)
            says(stage, "greeter", "one")
            refused = stage.shell.run("unhold", "/", **env)
            assert (refused.code, bad in refused.err) == (5, True), refused.said

            repository.text("broken.yaml", "nonsense: [")
            team.push()
            after_a_turn(stage)
            refused = stage.shell.run("unhold", "/", **env)
            assert (refused.code, bad in refused.err) == (5, True), refused.said

            repository.drop("broken").automation("greeter", says="fixed")
            team.push()
            after_a_turn(stage)
            assert said_by(stage, "greeter") == "one"
            assert "INC-7" in stage.shell.ok("status", **env).out
            until(lambda: stage.shell.run("unhold", "/", **env).code == 0, "unhold")
            says(stage, "greeter", "fixed")

    def test_a_rollback_that_was_killed_is_finished_by_the_daemon(
        self, on_fake: Stage, tmp_path: Path
    ) -> None:
        team, repository, env = from_git(on_fake, tmp_path)
        names = [f"a-{number}" for number in range(6)]
        for name in names:
            repository.automation(name, says="good")
        good = team.push()[:12]
        with following(on_fake, **env):
            until(lambda: applied(on_fake) == good, "the good commit is applied")
            for name in names:
                repository.automation(name, says="bad")
            bad = team.push()[:12]
            until(lambda: applied(on_fake) == bad, "the bad commit is applied")
        running = on_fake.shell.start("rollback", good, "-y", **env)
        until(lambda: on_fake.rows("SELECT 1 FROM reconciler.holds"), "the hold is placed")
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        with following(on_fake, **env):
            for name in names:
                says(on_fake, name, "good")

    def test_a_folder_in_a_work_tree_can_be_rolled_back(self, on_fake: Stage) -> None:
        folder = on_fake.shell.folder
        repository = on_fake.repository.organization().automation("greeter", says="one")
        team = Team.alone(folder)
        first = team.commit("first")[:12]
        env = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
        on_fake.shell.apply(**env)
        repository.automation("greeter", says="two")
        second = team.commit("second")[:12]
        on_fake.shell.apply(**env)
        assert said_by(on_fake, "greeter") == "two"

        on_fake.shell.ok("rollback", "-y", **env)
        assert said_by(on_fake, "greeter") == "one"
        blocked = on_fake.shell.run("apply", "-y", **env)
        assert (blocked.code, first in blocked.out, second in blocked.out) == (5, True, True)
        assert "two" in (repository.home / "workflows/greeter.json").read_text(encoding="utf-8")
        on_fake.shell.ok("unhold", "/", "--anyway", **env)
        on_fake.shell.apply(**env)
        assert said_by(on_fake, "greeter") == "two"


@pytest.mark.n8n
@pytest.mark.parametrize("place", ["/", "{o}", "{o}/Automation/quick"])
async def test_what_is_held_from_firing_waits_in_the_queue_and_runs_after(
    on_real: Stage, place: str
) -> None:
    plant = Plant(on_real)
    plant.automation("quick", quick())
    ids = plant.apply()
    at = place.replace("{o}", on_real.organization)
    words = ("--what", "fire", "--until", "1h", "--reason", "INC-9")
    on_real.shell.ok("hold", at, *words)
    async with Database(on_real.database_url) as database:
        desk = Desk(plant, database)
        with fleet(plant.env()) as workers:
            workers.start()
            asked = await desk.ask(ids["quick"], {"n": 0})
            await asyncio.sleep(3)
            assert plant.row(asked)["status"] == "QUEUED"
            on_real.shell.ok("unhold", at, "--anyway")
            assert (await desk.until(asked))["status"] == "SUCCESS"
        await desk.notifier.close()
