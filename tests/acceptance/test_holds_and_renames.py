"""A hold is about a resource, not about its name: a rename neither ends it nor slips past it."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.store.database import Database
from reconciler.store.executions import Executions
from tests.acceptance.conftest import Stage
from tests.acceptance.follower import following, said_by, until
from tests.acceptance.test_following import says
from tests.acceptance.test_holds import after_a_turn
from tests.acceptance.test_rolling_back_renames import called, ids, names

HELLO = "acme/Automation/hello"


@pytest.fixture
def stage(on_fake: Stage) -> Stage:
    called(on_fake.repository.organization(), "hello")
    on_fake.shell.apply()
    return on_fake


def hold(stage: Stage, *words: str) -> None:
    stage.shell.ok("hold", HELLO, *words, "--until", "1h", "--reason", "INC-42")


def held(stage: Stage) -> list[tuple[object, ...]]:
    return stage.rows("SELECT name, held::text FROM reconciler.holds WHERE released_at IS NULL")


def claimed(stage: Stage) -> int:
    async def claim() -> int:
        async with Database(stage.database_url) as database:
            executions = Executions(database, new_id=lambda: "x")
            return len(await executions.claim("somebody", 5, lease=30.0))

    return asyncio.run(claim())


@pytest.mark.parametrize("what", ["heal", "apply", "heal,apply"])
def test_what_is_mended_by_hand_survives_a_rename(stage: Stage, what: str) -> None:
    known = ids(stage)
    hold(stage, "--what", what)
    stage.n8n.says(stage.n8n.workflow("acme greeter")["id"], "by hand", live=True)
    called(stage.repository, "hullo", "hello")

    done = stage.shell.run("apply", "-y")

    assert done.code == 5, done.said
    assert "INC-42" in done.out
    assert said_by(stage, "greeter") == "by hand"
    stage.shell.ok("unhold", HELLO)
    stage.shell.apply()
    assert said_by(stage, "greeter") == "hullo"
    assert names(stage) == ["hullo", "hullo.mornings"]
    assert ids(stage) == known


def test_runs_stay_held_under_the_new_name(stage: Stage) -> None:
    hold(stage, "--what", "fire")
    stage.shell.ok("run", "hello")
    assert claimed(stage) == 0
    called(stage.repository, "hullo", "hello")

    stage.shell.apply()

    assert claimed(stage) == 0
    assert held(stage) == [("hullo", "{fire}")]
    stage.shell.ok("unhold", "acme/Automation/hullo")
    assert claimed(stage) == 1


def test_held_from_a_rename_it_is_still_healed_under_its_name(stage: Stage) -> None:
    known = ids(stage)
    with following(stage):
        until(lambda: stage.rows("SELECT turned_at FROM reconciler.sources"), "the first turn")
        hold(stage, "--what", "apply")
        called(stage.repository, "hullo", "hello")
        after_a_turn(stage)
        stage.n8n.says(stage.n8n.workflow("acme greeter")["id"], "by hand", live=True)
        says(stage, "greeter", "hello")
        assert names(stage)[0] == "hello"
    assert ids(stage) == known
