"""What a due schedule starts: misfires, jitter, keys, items; and what earlier runs mean for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.trigger.next_fire import next_fire
from reconciler.trigger.occurrence import MAX_MADE_UP, Schedule, item, key, look, start_at
from reconciler.trigger.overlap import Live, Start, decide

NINE = datetime(2026, 6, 3, 9, tzinfo=UTC)
HOURLY = Schedule(expression="0 * * * *")


def hourly(misfire: str, grace: int = 3600) -> Schedule:
    return Schedule(expression="0 * * * *", misfire=misfire, grace=timedelta(seconds=grace))


@pytest.mark.parametrize("misfire", ["fire_once", "skip", "fire_all"])
def test_an_occurrence_on_time_runs_under_every_policy(misfire: str) -> None:
    due = look(hourly(misfire), NINE, NINE + timedelta(seconds=2))

    assert due.nominal == (NINE,)
    assert due.missed == 0
    assert due.following == NINE + timedelta(hours=1)


def test_one_run_makes_up_for_a_night() -> None:
    due = look(hourly("fire_once"), NINE, NINE + timedelta(hours=8, minutes=5))

    assert due.nominal == (NINE + timedelta(hours=8),)
    assert due.missed == 8
    assert due.following == NINE + timedelta(hours=9)


def test_one_run_makes_up_however_late_it_is() -> None:
    yearly = Schedule(expression="0 9 3 6 *")

    due = look(yearly, NINE, NINE + timedelta(days=100))

    assert due.nominal == (NINE,)
    assert due.missed == 0


def test_skip_gives_up_what_is_later_than_the_grace() -> None:
    late = look(hourly("skip", 60), NINE, NINE + timedelta(hours=8, seconds=61))
    in_time = look(hourly("skip", 60), NINE, NINE + timedelta(hours=8, seconds=60))
    alone = look(hourly("skip", 60), NINE, NINE + timedelta(seconds=61))

    assert (late.nominal, late.missed) == ((), 9)
    assert (in_time.nominal, in_time.missed) == ((NINE + timedelta(hours=8),), 8)
    assert (alone.nominal, alone.missed) == ((), 1)


def test_all_are_made_up_for_up_to_a_hundred_the_newest() -> None:
    few = look(hourly("fire_all"), NINE, NINE + timedelta(hours=3))
    many = look(hourly("fire_all"), NINE, NINE + timedelta(hours=130))

    assert few.nominal == tuple(NINE + timedelta(hours=n) for n in range(4))
    assert len(many.nominal) == MAX_MADE_UP
    assert many.nominal[-1] == NINE + timedelta(hours=130)
    assert many.missed == 31


def test_a_next_fire_that_a_hand_turned_to_no_occurrence_harms_nobody() -> None:
    odd = NINE + timedelta(seconds=7)

    several = look(hourly("fire_all"), odd, NINE + timedelta(hours=3))
    one = look(hourly("fire_once"), odd, NINE + timedelta(minutes=1))

    assert several.nominal == tuple(NINE + timedelta(hours=n) for n in (1, 2, 3))
    assert (one.nominal, one.following) == ((odd,), NINE + timedelta(hours=1))


def test_a_year_of_minutes_costs_no_more_than_an_hour_of_them() -> None:
    minutely = Schedule(expression="* * * * *")

    due = look(minutely, NINE, NINE + timedelta(days=365))

    assert due.nominal == (NINE + timedelta(days=365),)
    assert due.missed == 100  # at least


@given(
    st.sampled_from(["fire_once", "skip", "fire_all"]),
    st.sampled_from(["0 * * * *", "*/7 3-5 * * *", "30 2 * * *", "0 0 1 * *"]),
    st.timedeltas(timedelta(0), timedelta(days=40)),
    st.integers(0, 100_000),
)
@settings(deadline=None)
def test_what_runs_was_due_and_what_follows_is_not_due_yet(
    misfire: str, expression: str, late: timedelta, grace: int
) -> None:
    zone = "Europe/Berlin"
    schedule = Schedule(
        expression=expression, zone=zone, misfire=misfire, grace=timedelta(seconds=grace)
    )
    first = next_fire(expression, zone, NINE)
    now = first + late

    due = look(schedule, first, now)

    assert all(first <= nominal <= now for nominal in due.nominal)
    assert sorted(set(due.nominal)) == list(due.nominal)
    assert due.following > now
    assert due.following == next_fire(expression, zone, max(due.nominal, default=now))


def test_jitter_is_always_the_same_for_one_occurrence_and_differs_between_triggers() -> None:
    jittered = Schedule(expression="0 * * * *", jitter=timedelta(minutes=10))

    starts = [start_at(f"t{number}", jittered, NINE) for number in range(200)]

    assert starts == [start_at(f"t{number}", jittered, NINE) for number in range(200)]
    assert all(NINE <= start < NINE + timedelta(minutes=10) for start in starts)
    assert len(set(starts)) > 150


def test_jitter_ends_before_the_next_occurrence() -> None:
    jittered = Schedule(expression="* * * * *", jitter=timedelta(hours=1))

    assert all(
        start_at(f"t{number}", jittered, NINE) < NINE + timedelta(minutes=1)
        for number in range(100)
    )


@pytest.mark.parametrize("jitter", [0, -5])
def test_without_jitter_it_starts_on_time(jitter: int) -> None:
    plain = Schedule(expression="0 * * * *", jitter=timedelta(seconds=jitter))

    assert start_at("t", plain, NINE) == NINE


def test_a_key_names_the_instant_whatever_the_zone() -> None:
    berlin = NINE.astimezone(datetime.fromisoformat("2026-06-03T11:00:00+02:00").tzinfo)

    assert key("t1", NINE) == key("t1", berlin) == "cron:t1:2026-06-03T09:00:00Z"


def test_the_item_is_what_n8ns_schedule_trigger_makes() -> None:
    made = item(datetime(2026, 1, 2, 8, 5, tzinfo=UTC), "Europe/Berlin")

    assert made == {
        "timestamp": "2026-01-02T09:05:00.000+01:00",
        "Readable date": "January 2nd 2026, 9:05:00 am",
        "Readable time": "9:05:00 am",
        "Day of week": "Friday",
        "Year": "2026",
        "Month": "January",
        "Day of month": "02",
        "Hour": "09",
        "Minute": "05",
        "Second": "00",
        "Timezone": "Europe/Berlin (UTC+01:00)",
    }


@pytest.mark.parametrize(
    "day, hour, words",
    [
        (1, 0, "1st 2026, 12:00:00 am"),
        (3, 12, "3rd 2026, 12:00:00 pm"),
        (11, 13, "11th 2026, 1:00:00 pm"),
        (12, 23, "12th 2026, 11:00:00 pm"),
        (13, 1, "13th 2026, 1:00:00 am"),
        (21, 1, "21st 2026, 1:00:00 am"),
        (22, 1, "22nd 2026, 1:00:00 am"),
    ],
)
def test_days_and_hours_read_as_people_write_them(day: int, hour: int, words: str) -> None:
    made = item(datetime(2026, 5, day, hour, tzinfo=UTC), "UTC")

    assert made["Readable date"] == f"May {words}"


NONE, WAITS, RUNS = Live(), Live(queued=1), Live(running=1)
BOTH = Live(queued=1, running=1)


@pytest.mark.parametrize(
    "overlap, live, start, cancels",
    [
        ("skip", NONE, Start.NOW, False),
        ("skip", WAITS, Start.NOT, False),
        ("skip", RUNS, Start.NOT, False),
        ("allow", BOTH, Start.NOW, False),
        ("queue_one", NONE, Start.NOW, False),
        ("queue_one", RUNS, Start.AFTER_EARLIER, False),
        ("queue_one", WAITS, Start.NOT, False),
        ("queue_one", BOTH, Start.NOT, False),
        ("cancel_other", NONE, Start.NOW, False),
        ("cancel_other", WAITS, Start.NOW, True),
        ("cancel_other", RUNS, Start.AFTER_EARLIER, True),
    ],
)
def test_an_occurrence_meets_earlier_runs(
    overlap: str, live: Live, start: Start, cancels: bool
) -> None:
    decision = decide(overlap, live, 1)

    assert decision.starts == (start,)
    assert decision.cancel_earlier is cancels


@pytest.mark.parametrize("overlap", ["skip", "queue_one"])
def test_occurrences_that_are_made_up_for_stand_in_line(overlap: str) -> None:
    assert decide(overlap, NONE, 3).starts == (Start.NOW, *(Start.AFTER_EARLIER,) * 2)
    assert decide(overlap, RUNS, 3).starts == (Start.AFTER_EARLIER,) * 3


def test_only_the_newest_survives_where_each_would_cancel_the_one_before() -> None:
    assert decide("cancel_other", NONE, 3).starts == (Start.NOT, Start.NOT, Start.NOW)


def test_nothing_due_is_nothing_started() -> None:
    assert decide("cancel_other", BOTH, 0).starts == ()
