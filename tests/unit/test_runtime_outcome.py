"""What the end of a run in n8n means for its row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.n8n.outcome import Run, RunState
from reconciler.runtime import outcome
from reconciler.runtime.hold import Hold
from reconciler.trigger.execution import Ended, Status
from tests.unit.test_trigger_branch import SOME

NOW = 1000.0
RUN = Run(id="7", workflow_id="w1", state=RunState.SUCCESS, version_id="v1", output=[{"a": 1}])


def hold(*, attempt: int = 1, began: float = NOW - 1, cancelled: bool = False) -> Hold:
    made = Hold(
        claimed=replace(SOME, attempt=attempt, max_attempts=4),
        since=began,
        until=NOW + 30,
        tell=lambda _hold, _id: None,
    )
    if cancelled:
        made.cancelled.set()
    return made


def brief(ended: Ended) -> tuple[Status, Status | None, float | None]:
    return ended.status, ended.outcome, ended.retry_in


def test_success_keeps_all_that_n8n_told() -> None:
    ended = outcome.finished(hold(), NOW, RUN)

    assert (Status.SUCCESS, None, None) == brief(ended)
    assert ("7", "v1", [{"a": 1}], 1000) == (
        ended.n8n_execution_id,
        ended.n8n_version_id,
        ended.output,
        ended.milliseconds,
    )


@pytest.mark.parametrize("state", [RunState.ERROR, RunState.CRASHED])
@pytest.mark.parametrize("attempt, wait", [(1, 2.0), (2, 4.0), (3, 8.0)])
def test_a_failure_is_tried_again(state: RunState, attempt: int, wait: float) -> None:
    ended = outcome.finished(hold(attempt=attempt), NOW, replace(RUN, state=state))

    assert (Status.QUEUED, Status.FAILED, wait) == brief(ended)


@pytest.mark.parametrize(
    "state, began, cancelled, expected",
    [
        (RunState.ERROR, NOW - 1, False, Status.FAILED),
        (RunState.ERROR, NOW - 1, True, Status.CANCELLED),
        (RunState.CANCELED, NOW - 1, False, Status.CANCELLED),
        (RunState.CANCELED, NOW - 60, False, Status.TIMEOUT),
        (RunState.CANCELED, NOW - 60, True, Status.CANCELLED),
        (RunState.SUCCESS, NOW - 60, True, Status.SUCCESS),
        (RunState.GONE, NOW - 1, False, Status.FAILED),
    ],
)
def test_the_last_attempt_decides(
    state: RunState, began: float, cancelled: bool, expected: Status
) -> None:
    last = hold(attempt=4, began=began, cancelled=cancelled)

    assert (expected, None, None) == brief(outcome.finished(last, NOW, replace(RUN, state=state)))


@pytest.mark.parametrize("state", [RunState.CANCELED, RunState.GONE])
def test_what_a_person_ended_or_n8n_forgot_is_not_tried_again(state: RunState) -> None:
    assert outcome.finished(hold(), NOW, replace(RUN, state=state)).retry_in is None


def test_a_timeout_is_tried_again() -> None:
    ended = outcome.timed_out(hold(), NOW)

    assert (Status.QUEUED, Status.TIMEOUT, 2.0) == brief(ended)
    assert ended.error_message == "the run took longer than 60 s"


def test_a_longer_retry_after_wins() -> None:
    failed = outcome.ended(hold(), NOW, Status.FAILED, "429")

    assert [2.0, 30.0] == [outcome.again(hold(), failed, after).retry_in for after in (1, 30)]


def test_what_was_not_tried_spends_nothing() -> None:
    mine = hold(attempt=4)
    mine.claimed = replace(mine.claimed, began_at=datetime(2026, 3, 1, tzinfo=UTC))
    ended = outcome.untried(mine, NOW, "n8n is away")

    assert (Status.QUEUED, 0.0, False) == (ended.status, ended.retry_in, ended.counts)
    assert ended.began_at == mine.claimed.began_at  # the next claim has the number, too


@pytest.mark.parametrize("at_most_once, expected", [(True, Status.FAILED), (False, Status.QUEUED)])
def test_a_lost_run_is_repeated_unless_it_must_not_be(at_most_once: bool, expected: Status) -> None:
    mine = hold()
    mine.claimed = replace(mine.claimed, at_most_once=at_most_once)

    assert expected is outcome.lost(mine, NOW).status


@pytest.mark.parametrize("at_most_once, expected", [(True, Status.FAILED), (False, Status.QUEUED)])
def test_a_run_that_n8n_lost_in_an_outage_is_repeated_unless_it_must_not_be(
    at_most_once: bool, expected: Status
) -> None:
    mine = hold()
    mine.claimed = replace(mine.claimed, at_most_once=at_most_once)
    run = replace(RUN, state=RunState.GONE)

    assert expected is outcome.finished(mine, NOW, run, outage=True).status


@pytest.mark.parametrize(
    "at_most_once, started, expected",
    [
        (True, True, Status.FAILED),
        (True, False, Status.QUEUED),
        (False, True, Status.QUEUED),
    ],
)
def test_after_a_mistake_of_ours_a_run_is_repeated_unless_n8n_may_have_run_it(
    at_most_once: bool, started: bool, expected: Status
) -> None:
    mine = hold()
    mine.claimed = replace(mine.claimed, at_most_once=at_most_once)
    mine.started = started

    assert expected is outcome.broken(mine, NOW, ValueError("x")).status


def test_a_run_that_a_crash_of_n8n_ended_is_not_repeated_where_it_must_not_be() -> None:
    crashed = replace(RUN, state=RunState.CRASHED, error_message="n8n crashed")
    careful = hold()
    careful.claimed = replace(careful.claimed, at_most_once=True)

    ended = outcome.finished(careful, NOW, crashed)

    assert (Status.FAILED, None, None) == brief(ended)
    assert "n8n crashed; it is not repeated (atMostOnce)" == ended.error_message
