"""`run --wait` and `executions retry --wait`: where n8n shows the run, and what Ctrl-C leaves."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import until


@pytest.fixture
def stage(on_fake: Stage) -> Stage:
    """An applied automation, and nobody who runs it."""
    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()
    return on_fake


def runs_of(stage: Stage) -> list[Any]:
    """Give the ids of all executions."""
    return [id_ for (id_,) in stage.rows("SELECT id FROM workflow_executions")]


def test_who_waited_is_told_where_n8n_shows_the_run(stage: Stage) -> None:
    id_ = stage.shell.ok("run", "greet", "--key", "k", "-o", "json").document["execution_id"]
    ended = """UPDATE workflow_executions SET status = 'SUCCESS', "completedAt" = now(),
        "n8nExecutionId" = '17' WHERE id = %s"""
    stage.rows(ended, id_)

    done = stage.shell.ok("run", "greet", "--key", "k", "--wait")
    link = stage.shell.ok("executions", "show", id_, "-o", "json").document["n8n_url"]
    assert link.endswith("/executions/17")
    assert f"n8n          {link}" in done.out.splitlines()
    waited = stage.shell.ok("run", "greet", "--key", "k", "--wait", "-o", "json").document
    assert link == waited["n8n_url"]

    running = stage.shell.start("executions", "retry", id_, "--wait")
    until(lambda: len(runs_of(stage)) == 2)
    [again] = [one for one in runs_of(stage) if one != id_]
    stage.rows(ended, again)
    done = running.wait()
    assert (0, True) == (done.code, f"n8n          {link}" in done.out.splitlines()), done.said


@pytest.mark.parametrize("command", ["run", "retry"])
def test_ctrl_c_ends_the_waiting_and_tells_that_the_run_goes_on(stage: Stage, command: str) -> None:
    words = ["run", "greet"]
    if command == "retry":
        old = stage.shell.ok("run", "greet", "-o", "json").document["execution_id"]
        stage.shell.ok("executions", "cancel", old)
        words = ["executions", "retry", old]

    running = stage.shell.start(*words, "--wait")
    until(lambda: "waiting for its end" in running.err_so_far())
    os.kill(running.pid, signal.SIGINT)
    done = running.wait()

    [id_] = [one for one in runs_of(stage) if one not in words]
    assert (130, "") == (done.code, done.out), done.said
    assert f"{id_} goes on; `reconciler executions cancel {id_}` ends it" in done.err
    status = stage.value("SELECT status::text FROM workflow_executions WHERE id = %s", id_)
    assert "QUEUED" == status
