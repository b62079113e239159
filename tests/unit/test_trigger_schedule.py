"""Cron expressions and time zones: what is accepted works, what is refused says why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from croniter import croniter
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.trigger.schedule import cron_problem, nearest_zone, zone_problem

START = datetime(2026, 1, 1, tzinfo=UTC)


def code(expression: str) -> str | None:
    problem = cron_problem(expression)
    return problem.code if problem else None


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *", "*/5 * * * *", "0 9 * * 1-5", "0 9 * * MON-FRI", "0,30 8-18/2 1,15 jan,jul *",
        "0 0 29 2 *", "0 0 31 * *", "5/15 * * * *", "0 0 * * 7", "0 0 30 2 1", "  0   9 * * *  ",
    ],
)  # fmt: skip
def test_good_expressions(expression: str) -> None:
    assert code(expression) is None


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("", "AUT103"), ("* * * *", "AUT103"), ("* * * * * *", "AUT103"), ("@daily", "AUT103"),
        ("@reboot", "AUT103"), ("*" * 300, "AUT103"), ("60 * * * *", "AUT101"), ("* 24 * * *", "AUT101"),
        ("* * 0 * *", "AUT101"), ("* * 32 * *", "AUT101"), ("* * * 13 *", "AUT101"), ("* * * * 8", "AUT101"),
        ("*/0 * * * *", "AUT101"), ("5-1 * * * *", "AUT101"), ("a * * * *", "AUT101"), ("1, * * * *", "AUT101"),
        ("-1 * * * *", "AUT101"), ("1-2-3 * * * *", "AUT101"), ("* * L * *", "AUT101"), ("* * * * 1#2", "AUT101"),
        ("R * * * *", "AUT101"), ("H * * * *", "AUT101"), ("? * * * *", "AUT101"), ("*-5 * * * *", "AUT101"),
        ("mon * * * *", "AUT101"), ("٣ * * * *", "AUT101"), ("0 0 30 2 *", "AUT102"),
        ("0 0 31 4,6,9,11 *", "AUT102"), ("0 0 31 feb *", "AUT102"),
    ],
)  # fmt: skip
def test_bad_expressions(expression: str, expected: str) -> None:
    assert code(expression) == expected


_number = st.integers(0, 62).map(str)
_item = st.one_of(
    st.just("*"),
    _number,
    st.tuples(_number, _number).map("-".join),
    st.tuples(st.just("*") | _number, _number).map("/".join),
    st.sampled_from(["mon", "JAN", "sun-sat", "L", "?"]),
)
_field = st.lists(_item, min_size=1, max_size=2).map(",".join)


@given(st.tuples(_field, _field, _field, _field, _field).map(" ".join))
@settings(max_examples=400, deadline=None)
def test_what_we_accept_two_other_readers_accept_and_it_happens(expression: str) -> None:
    problem = cron_problem(expression)
    if problem is None:
        assert croniter.is_valid(expression)
        following = next(CronSim(expression, START))
        assert following > START
    elif problem.code == "AUT102":
        with pytest.raises((CronSimError, StopIteration)):
            next(CronSim(expression, START))


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Argentina/Ushuaia"]
)
def test_known_zones(name: str) -> None:
    assert zone_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Berlin",
        "europe/berlin",
        "localtime",
        "../etc/passwd",
        "/etc/passwd",
        "Europe",
        "a\0b",
        "x" * 5000,
    ],
)
def test_unknown_zones(name: str) -> None:
    problem = zone_problem(name)
    assert problem is not None
    assert problem.code == "AUT104"


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("Europe/Berln", "Europe/Berlin"), ("berlin", "Europe/Berlin"), ("new york", "America/New_York"),
        ("EUROPE/PARIS", "Europe/Paris"), ("Nowhere/At_All", None),
    ],
)  # fmt: skip
def test_the_nearest_zone_is_named(wrong: str, right: str | None) -> None:
    assert nearest_zone(wrong) == right
