"""The window never holds more than its limit, and gives places back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger.rate import Window, take


def test_the_places_are_given_once() -> None:
    first = take(Window(), 70, limit=100, seconds=60, now=1000.0)
    second = take(first.window, 70, limit=100, seconds=60, now=1000.5)
    third = take(second.window, 1, limit=100, seconds=60, now=1059.9)
    assert [70, 30, 0] == [first.granted, second.granted, third.granted]


def test_a_place_is_free_again_a_period_later() -> None:
    full = take(Window(), 100, limit=100, seconds=60, now=1000.0)
    refused = take(full.window, 1, limit=100, seconds=60, now=1030.0)
    assert 0 < refused.retry_after <= 31
    again = take(refused.window, 1, limit=100, seconds=60, now=1030.0 + refused.retry_after)
    assert again.granted == 1


def test_another_period_forgets_nothing() -> None:
    minute = take(Window(), 100, limit=100, seconds=60, now=1000.0)
    hour = take(minute.window, 1, limit=100, seconds=3600, now=1001.0)
    assert hour.granted == 0


def test_a_changed_period_is_over_as_well() -> None:
    minute = take(Window(), 100, limit=100, seconds=60, now=10_000.0)
    for now, granted in ((13_600.0, 0), (13_670.0, 1)):
        assert take(minute.window, 1, limit=100, seconds=3600, now=now).granted == granted


def test_a_clock_that_goes_back_a_little_gives_nothing_away() -> None:
    full = take(Window(), 100, limit=100, seconds=60, now=5000.0)
    assert take(full.window, 1, limit=100, seconds=60, now=4945.0).granted == 0


@pytest.mark.parametrize("seconds", [60, 3600])
def test_what_a_clock_counted_that_was_far_ahead_counts_no_more(seconds: int) -> None:
    full = take(Window(), 100, limit=100, seconds=60, now=50_000.0)
    taken = take(full.window, 1, limit=100, seconds=seconds, now=1000.0)
    assert (1, 1) == (taken.granted, sum(taken.window.counts))


@given(
    limit=st.integers(1, 20),
    seconds=st.sampled_from([1.0, 60.0, 3600.0]),
    steps=st.lists(st.tuples(st.floats(0, 1.2), st.integers(1, 15)), max_size=60),
)
def test_no_period_ever_holds_more_than_the_limit(
    limit: int, seconds: float, steps: list[tuple[float, int]]
) -> None:
    now, window, granted = 1_700_000_000.0, Window(), []
    for part, wanted in steps:
        now += part * seconds
        taken = take(window, wanted, limit=limit, seconds=seconds, now=now)
        window = taken.window
        granted += [now] * taken.granted
        assert (taken.granted < wanted) == (taken.retry_after > 0)
        in_the_last = [moment for moment in granted if now - moment < seconds]
        assert len(in_the_last) <= limit
        if taken.granted < wanted:  # and it is not stricter than one slot more than the period
            assert sum(now - moment < seconds * 61 / 60 for moment in granted) >= limit
