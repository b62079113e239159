"""An open question holds nobody up, can be left with Ctrl-C, and is asked about what is true."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import said_by
from tests.acceptance.terminal import CTRL_C, at_terminal
from tests.doubles.repositories import Team

ASKS = "[y/N]"


@pytest.fixture
def stage(on_fake: Stage) -> Stage:
    """Two revisions were applied; then a hand edit, and a spec that changed."""
    folder = on_fake.shell.folder
    on_fake.shell.env["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
    repository = on_fake.repository.organization().automation("greeter", says="one")
    repository.automation("other", says="one")
    team = Team.alone(folder)
    team.commit("first")
    on_fake.shell.apply()
    repository.automation("greeter", says="two")
    team.commit("second")
    on_fake.shell.apply()
    by_hand(on_fake)
    repository.automation("greeter", says="three")
    return on_fake


def by_hand(stage: Stage) -> None:
    stage.n8n.says(stage.n8n.workflow("acme greeter")["id"], "by hand", live=True)


COMMANDS = [("apply",), ("drift", "--repair"), ("rollback",)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_ctrl_c_at_the_question_ends_the_command_at_once(
    stage: Stage, words: tuple[str, ...]
) -> None:
    with at_terminal(stage.shell, *words) as person:
        person.until(ASKS)
        person.type(CTRL_C)
        done = person.end()

    assert done.code == 130, done.said
    assert "interrupted" in done.out
    assert said_by(stage, "greeter") == "by hand"
    assert stage.shell.ok("status", "-o", "json").document["lock"] is None


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_others_apply_while_it_asks_and_a_late_yes_is_refused(
    stage: Stage, words: tuple[str, ...]
) -> None:
    with at_terminal(stage.shell, *words) as person:
        person.until(ASKS)
        stage.shell.apply("--lock-timeout", "0")
        assert said_by(stage, "greeter") == "three"
        person.type(b"y\n")
        done = person.end()

    assert done.code == 6, done.said
    assert "the world moved on" in done.out
    assert said_by(stage, "greeter") == "three"
    assert stage.rows("SELECT 1 FROM reconciler.holds") == []


@pytest.mark.parametrize(
    "words, says",
    list(zip(COMMANDS, ("three", "two", "one"), strict=True)),
    ids=[" ".join(words) for words in COMMANDS],
)
def test_what_does_not_touch_the_plan_does_not_spoil_the_answer(
    stage: Stage, words: tuple[str, ...], says: str
) -> None:
    with at_terminal(stage.shell, *words) as person:
        person.until(ASKS)
        stage.shell.apply("--target", "acme/Automation/other", "--lock-timeout", "0")
        person.type(b"y\n")
        done = person.end()

    assert done.code == 0, done.said
    assert said_by(stage, "greeter") == says


def test_a_hold_that_is_placed_while_it_asks_counts(stage: Stage) -> None:
    held = "acme/Automation/greeter"
    with at_terminal(stage.shell, "apply") as person:
        person.until(ASKS)
        stage.shell.ok("hold", held, "--until", "1h", "--reason", "INC-42")
        person.type(b"y\n")
        done = person.end()

    assert done.code == 5, done.said
    assert said_by(stage, "greeter") == "by hand"


def test_what_waits_can_be_left_uncancelled_with_ctrl_c(stage: Stage) -> None:
    stage.shell.ok("run", "greeter")
    with at_terminal(stage.shell, "executions", "cancel", "--automation", "greeter") as person:
        person.until(ASKS)
        person.type(CTRL_C)
        done = person.end()

    assert done.code == 130, done.said
    assert stage.value("SELECT status::text FROM workflow_executions") == "QUEUED"
