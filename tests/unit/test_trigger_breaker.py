"""The breaker of one automation, its moving average and its retries: pure arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger.average import fold
from reconciler.trigger.breaker import Breaker, Position, Verdict, after
from reconciler.trigger.retry import delay, may_help

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
BAD, GOOD, WEAK, SILENT = Verdict.BAD, Verdict.GOOD, Verdict.WEAK, Verdict.SILENT


def fed(*verdicts: Verdict, breaker: Breaker | None = None, now: datetime = NOW) -> Breaker:
    return after(breaker or Breaker(), [(f"e{n}", v) for n, v in enumerate(verdicts)], now)


def test_the_fifth_failure_in_a_row_opens_it_for_thirty_seconds() -> None:
    assert fed(*[BAD] * 4).position is Position.CLOSED
    opened = fed(*[BAD] * 5)
    assert (opened.position, opened.until) == (Position.OPEN, NOW + timedelta(seconds=30))


def test_a_success_between_failures_begins_a_new_row() -> None:
    assert fed(*[BAD] * 4, GOOD, *[BAD] * 4).position is Position.CLOSED


def test_half_of_ten_failures_within_five_minutes_open_it() -> None:
    assert fed(*[GOOD, BAD] * 4, GOOD).position is Position.CLOSED
    assert fed(*[GOOD, BAD] * 5).position is Position.OPEN


def test_failures_of_another_window_do_not_count_in_this_one() -> None:
    before = fed(*[GOOD, BAD] * 4)

    later = fed(GOOD, BAD, breaker=before, now=NOW + timedelta(minutes=5))

    assert (later.position, later.window_total, later.window_failed) == (Position.CLOSED, 2, 1)


def test_cancelled_runs_and_attempts_that_are_retried_say_nothing() -> None:
    assert fed(*[SILENT, WEAK] * 20) == Breaker()


@pytest.mark.parametrize(
    "opened,seconds", [(0, 30), (1, 60), (2, 120), (3, 240), (4, 480), (5, 600), (60, 600)]
)
def test_each_time_it_opens_again_the_pause_doubles_up_to_ten_minutes(
    opened: int, seconds: int
) -> None:
    probing = Breaker(position=Position.HALF_OPEN, opened=opened, probe="e0")

    again = fed(BAD, breaker=probing)

    assert (again.position, again.until) == (Position.OPEN, NOW + timedelta(seconds=seconds))
    assert again.opened == opened + 1


def test_the_probes_success_closes_it_and_forgets_everything() -> None:
    assert fed(GOOD, breaker=Breaker(position=Position.HALF_OPEN, opened=4, probe="e0")) == (
        Breaker()
    )


def test_a_probe_that_is_to_be_tried_again_has_failed() -> None:
    assert fed(WEAK, breaker=Breaker(position=Position.HALF_OPEN, probe="e0")).position is (
        Position.OPEN
    )


def test_a_probe_that_proved_nothing_lets_the_next_one_through_at_once() -> None:
    silent = fed(SILENT, breaker=Breaker(position=Position.HALF_OPEN, opened=2, probe="e0"))

    assert (silent.position, silent.until, silent.opened) == (Position.OPEN, NOW, 2)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_run_from_before_it_opened_changes_nothing(verdict: Verdict) -> None:
    for breaker in (
        Breaker(position=Position.OPEN, until=NOW, opened=1),
        Breaker(position=Position.HALF_OPEN, opened=1, probe="another"),
    ):
        assert fed(verdict, breaker=breaker) == breaker


@given(st.lists(st.sampled_from(Verdict), max_size=40))
def test_a_batch_is_the_same_as_its_ends_one_by_one(verdicts: list[Verdict]) -> None:
    ends = [(f"e{n}", verdict) for n, verdict in enumerate(verdicts)]
    one_by_one = Breaker()
    for end in ends:
        one_by_one = after(one_by_one, [end], NOW)

    assert after(Breaker(), ends, NOW) == one_by_one


@given(
    st.none() | st.floats(0, 1e7),
    st.lists(st.floats(0, 1e7), max_size=30),
)
def test_a_folded_average_is_the_seeds_formula_step_by_step(
    average: float | None, values: list[float]
) -> None:
    expected = average
    for value in values:
        expected = value if expected is None else 0.1 * value + 0.9 * expected

    found = fold(values).after(average)

    assert found == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-6))


def test_the_gaps_between_attempts_are_two_four_and_eight_seconds() -> None:
    assert [delay(attempt) for attempt in (1, 2, 3)] == [2.0, 4.0, 8.0]


@pytest.mark.parametrize("asked,given", [(1.0, 2.0), (30.0, 30.0), (1e9, 3600.0)])
def test_a_longer_wait_that_the_server_asks_for_wins_up_to_an_hour(
    asked: float, given: float
) -> None:
    assert delay(1, asked) == given


def test_only_answers_that_can_change_are_worth_another_attempt() -> None:
    worth = {status for status in range(100, 600) if may_help(status)}

    assert worth == {408, 425, 429, *range(500, 600)}
