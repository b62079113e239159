"""When a schedule is due: the table of changing clocks, and laws that hold for every schedule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSim
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from reconciler.trigger.cron import parse_cron
from reconciler.trigger.next_fire import (
    _next_through_changes,
    fires,
    latest_fire,
    next_fire,
    remark,
    schedule_problem,
)
from reconciler.trigger.schedule import field_values

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
SPRING, AUTUMN = "2026-03-29", "2026-10-25"  # in Berlin: 02:00 -> 03:00, 03:00 -> 02:00

# zone, schedule, a day of its calendar, all that happens on it, as wall clock and offset
TABLE = [
    (BERLIN, "30 2 * * *", SPRING, ["03:00+0200"]),
    (BERLIN, "15,45 2 * * *", SPRING, ["03:00+0200"]),
    (BERLIN, "15 2,3 * * *", SPRING, ["03:00+0200", "03:15+0200"]),
    (BERLIN, "0 2,3 * * *", SPRING, ["03:00+0200"]),
    (BERLIN, "30 1 * * *", SPRING, ["01:30+0100"]),
    (BERLIN, "30 3 * * *", SPRING, ["03:30+0200"]),
    (BERLIN, "0 1-4 * * *", SPRING, ["01:00+0100", "03:00+0200", "04:00+0200"]),
    (BERLIN, "*/30 2 * * *", SPRING, []),
    (BERLIN, "*/30 1-3 * * *", SPRING, ["01:00+0100", "01:30+0100", "03:00+0200", "03:30+0200"]),
    (BERLIN, "30 2 * * *", AUTUMN, ["02:30+0200"]),
    (BERLIN, "15,45 2 * * *", AUTUMN, ["02:15+0200", "02:45+0200"]),
    (BERLIN, "15 2,3 * * *", AUTUMN, ["02:15+0200", "03:15+0100"]),
    (BERLIN, "0 2 * * *", AUTUMN, ["02:00+0200"]),
    (BERLIN, "0 3 * * *", AUTUMN, ["03:00+0100"]),
    (BERLIN, "*/30 2 * * *", AUTUMN, ["02:00+0200", "02:30+0200", "02:00+0100", "02:30+0100"]),
    (NEW_YORK, "30 2 * * *", "2026-03-08", ["03:00-0400"]),
    (NEW_YORK, "30 1 * * *", "2026-11-01", ["01:30-0400"]),
    (NEW_YORK, "45 1 1 11 *", "2026-11-01", ["01:45-0400"]),
    (LORD_HOWE, "15 2 * * *", "2026-10-04", ["02:30+1100"]),  # half an hour: 02:00 -> 02:30
    (LORD_HOWE, "45 2 * * *", "2026-10-04", ["02:45+1100"]),
    (LORD_HOWE, "45 1 * * *", "2026-04-05", ["01:45+1100"]),
    (
        LORD_HOWE,
        "*/15 1 * * *",
        "2026-04-05",
        ["01:00+1100", "01:15+1100", "01:30+1100", "01:45+1100", "01:30+1030", "01:45+1030"],
    ),
    ("Asia/Kathmandu", "30 2 * * *", SPRING, ["02:30+0545"]),
    ("Africa/Casablanca", "30 2 * * *", "2026-03-22", ["03:00+0100"]),
    ("UTC", "30 2 * * *", SPRING, ["02:30+0000"]),
]


@pytest.mark.parametrize("zone, expression, day, expected", TABLE)
def test_a_day_on_which_clocks_change(
    zone: str, expression: str, day: str, expected: list[str]
) -> None:
    place = ZoneInfo(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=place)
    before = start.astimezone(UTC) - timedelta(seconds=1)
    end = (start + timedelta(days=1)).astimezone(UTC)

    found = []
    for fire in fires(expression, zone, before):
        if fire >= end:
            break
        found.append(fire.astimezone(place).strftime("%H:%M%z"))

    assert expected == found


def hours(zone: str, start: datetime, count: int) -> list[timedelta]:
    found = list(islice(fires("0 * * * *", zone, start), count))
    return [later - one for one, later in pairwise(found)]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, "Australia/Sydney", "America/St_Johns"])
def test_an_hourly_schedule_follows_real_time_all_year(zone: str) -> None:
    gaps = hours(zone, datetime(2026, 1, 1, tzinfo=UTC), 24 * 366)

    assert {timedelta(hours=1)} == set(gaps)


def test_days_that_are_both_given_count_each_unless_one_begins_with_a_star() -> None:
    monday = datetime(2026, 6, 1, tzinfo=UTC)

    either = [f"{fire:%d}" for fire in islice(fires("0 0 13 * 5", "UTC", monday), 4)]
    both = [f"{fire:%d.%m}" for fire in islice(fires("0 0 */7 * 5", "UTC", monday), 3)]

    assert ["05", "12", "13", "19"] == either
    assert ["01.01", "08.01", "15.01"] == both  # of 2027


@pytest.mark.parametrize("sunday", ["0", "7", "SUN"])
def test_sunday_has_three_names(sunday: str) -> None:
    fire = next_fire(f"0 9 * * {sunday}", "UTC", datetime(2026, 6, 3, tzinfo=UTC))

    assert datetime(2026, 6, 7, 9, tzinfo=UTC) == fire


def test_a_day_that_comes_every_28_years_is_found() -> None:
    fire = next_fire("0 0 29 2 */7", "UTC", datetime(2033, 1, 1, tzinfo=UTC))

    assert datetime(2060, 2, 29, tzinfo=UTC) == fire


def test_a_fire_is_later_than_now_to_the_second() -> None:
    at = datetime(2026, 6, 3, 9, tzinfo=UTC)

    assert next_fire("0 9 * * *", "UTC", at - timedelta(milliseconds=1)) == at
    assert next_fire("0 9 * * *", "UTC", at) == at + timedelta(days=1)


@pytest.mark.parametrize(
    "expression, zone",
    [
        ("* * * *", "UTC"),
        ("*/5 * * * * *", "UTC"),
        ("@daily", "UTC"),
        ("22-2 * * * *", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("0 0 L * *", "UTC"),
        ("0 9 * * *", "Europe/Berln"),
        ("0 9 * * *", "localtime"),
        ("0 9\n* * *", "UTC"),
        ("", "UTC"),
        (None, None),
    ],
)
def test_a_broken_schedule_has_a_problem(expression: str | None, zone: str | None) -> None:
    assert schedule_problem(expression, zone)


def test_a_schedule_without_a_zone_is_in_utc() -> None:
    assert schedule_problem("0 9 * * 1-5", None) is None


@pytest.mark.parametrize(
    "expression, start, words",
    [
        ("30 2 * * *", SPRING, "02:30 does not exist, so at 03:00"),
        ("30 2 * * *", AUTUMN, "02:30 comes twice, due the first time only"),
        ("*/30 2 * * *", AUTUMN, "02:00 comes twice, this is the first"),
    ],
)
def test_an_occurrence_that_clocks_move_has_a_remark(
    expression: str, start: str, words: str
) -> None:
    day = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(BERLIN))
    fire = next_fire(expression, BERLIN, day)

    assert words in (remark(expression, BERLIN, fire) or "")


@pytest.mark.parametrize("day", ["2026-06-01", "2026-03-28", "2026-10-24"])
def test_other_occurrences_have_no_remark(day: str) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(BERLIN))

    assert remark("30 2 * * *", BERLIN, next_fire("30 2 * * *", BERLIN, start)) is None
    assert remark("0 3 * * *", BERLIN, next_fire("0 3 * * *", BERLIN, start)) is None


# Laws

ZONES = [
    BERLIN,
    NEW_YORK,
    "Europe/London",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Australia/Sydney",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "UTC",
]
MOMENTS = st.integers(0, 6 * 365 * 86_400).map(
    lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@st.composite
def field(draw: st.DrawFn, low: int, high: int) -> str:
    shape = draw(st.sampled_from(["star", "step", "one", "range", "list"]))
    if shape == "star":
        return "*"
    if shape == "step":
        return f"*/{draw(st.integers(1, high))}"
    one, other = sorted(draw(st.tuples(st.integers(low, high), st.integers(low, high))))
    return {"one": f"{one}", "range": f"{one}-{other}", "list": f"{one},{other}"}[shape]


EXPRESSIONS = st.builds(
    "{} {} {} {} {}".format,
    field(0, 59),
    st.one_of(field(0, 4), field(0, 23)),
    st.one_of(st.just("*"), field(1, 31)),
    st.one_of(st.just("*"), field(1, 12)),
    st.one_of(st.just("*"), field(0, 7)),
).filter(lambda expression: schedule_problem(expression, "UTC") is None)


@given(EXPRESSIONS, st.sampled_from([*ZONES, LORD_HOWE, "Antarctica/Troll"]), MOMENTS)
@settings(max_examples=300, deadline=None)
def test_fires_come_later_and_later_and_match_unless_the_time_was_skipped(
    expression: str, zone: str, start: datetime
) -> None:
    minutes, hours_, *_ = field_values(expression)
    last = start
    for fire in islice(fires(expression, zone, start), 4):
        assert fire > last
        assert fire.second == fire.microsecond == 0
        local = fire.astimezone(ZoneInfo(zone))
        matches = local.minute in minutes and local.hour in hours_
        resumed = (fire - timedelta(minutes=1)).astimezone(ZoneInfo(zone)).utcoffset()
        assert matches or local.utcoffset() != resumed
        last = fire


def surely_unaffected(zone: str, start: datetime) -> bool:
    """Whether no copy of a repeated hour begins it: there cronsim goes back in time."""
    local = start.astimezone(ZoneInfo(zone))
    return local.fold == 0 and local.replace(fold=1).utcoffset() == local.utcoffset()


@given(EXPRESSIONS, st.sampled_from(ZONES), MOMENTS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_cronsim_finds_the_same(expression: str, zone: str, start: datetime) -> None:
    assume(surely_unaffected(zone, start))
    place = ZoneInfo(zone)
    expected = [
        found.astimezone(UTC) for found in islice(CronSim(expression, start.astimezone(place)), 6)
    ]

    assert expected == list(islice(fires(expression, zone, start), 6))


@cache
def changes(zone: str) -> list[datetime]:
    """List the hours of 2026 in which the clocks change."""
    place = ZoneInfo(zone)
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(365 * 24)]
    offsets = [day.astimezone(place).utcoffset() for day in days]
    return [day for day, (one, other) in zip(days, pairwise(offsets), strict=False) if one != other]


NIGHTLY = st.tuples(
    st.sampled_from(["*", "*/15", "0", "30", "15,45"]),
    st.sampled_from(["*", "*/2", "0-4", "0", "1", "2", "3", "4"]),
    st.sampled_from(["* * *", "* * *", "25 10 *", "29 3 *"]),
).map(" ".join)


@st.composite
def near_a_change(draw: st.DrawFn) -> tuple[str, datetime]:
    zone = draw(st.sampled_from([*ZONES, LORD_HOWE, "Antarctica/Troll"]))
    at = draw(st.sampled_from(changes(zone) or [datetime(2026, 1, 1, tzinfo=UTC)]))
    return zone, at + timedelta(minutes=draw(st.integers(-200, 200)))


@given(st.one_of(EXPRESSIONS, NIGHTLY), near_a_change())
@example("30 2 * * *", (BERLIN, datetime(2026, 10, 25, 1, 10, tzinfo=UTC)))  # in the second copy
@example("*/30 2 25 10 *", (BERLIN, datetime(2026, 10, 25, 0, 45, tzinfo=UTC)))  # in the first
@settings(max_examples=500, deadline=None)
def test_where_clocks_do_not_change_in_between_nothing_is_lost_by_not_asking(
    expression: str, moment: tuple[str, datetime]
) -> None:
    zone, start = moment
    asked = _next_through_changes(parse_cron(expression), ZoneInfo(zone), start)

    assert asked == next_fire(expression, zone, start)


@given(EXPRESSIONS, MOMENTS)
@settings(max_examples=300, deadline=None)
def test_croniter_finds_the_same_where_clocks_do_not_change(
    expression: str, start: datetime
) -> None:
    # It takes "4-4" for all values: give it lists.
    words = [
        word if word.startswith("*") else ",".join(map(str, sorted(values)))
        for word, values in zip(expression.split(), field_values(expression), strict=True)
    ]
    theirs = croniter(" ".join(words), start.replace(tzinfo=None), implement_cron_bug=True)
    expected = [theirs.get_next(datetime) for _ in range(4)]
    wall, found = start.replace(tzinfo=None), []
    for _ in range(4):
        wall = parse_cron(expression).next_wall(wall)
        found.append(wall)

    assert expected == found


@given(EXPRESSIONS, st.sampled_from(ZONES), MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)))
@settings(max_examples=200, deadline=None)
def test_the_latest_fire_is_the_last_one_before_the_next(
    expression: str, zone: str, start: datetime, span: timedelta
) -> None:
    first = next_fire(expression, zone, start)
    until = first + span

    found = latest_fire(expression, zone, first, until)

    assert first <= found <= until
    assert next_fire(expression, zone, found) > until
    assert found == first or next_fire(expression, zone, found - timedelta(minutes=1)) == found
