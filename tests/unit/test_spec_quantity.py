"""Durations, rates and addresses as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.spec.quantity import Rate, format_duration, is_email, parse_duration, parse_rate


@pytest.mark.parametrize(
    "text, seconds",
    [("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("2d", 172800), ("0s", 0), ("90s", 90)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "-5m", "5M", "1.5h", "5m\n", "5w", "5mm", "٥m"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize("text", ["365000d1ms", "9999999d", "9999999d" * 120])
def test_a_duration_that_no_date_can_be_moved_by_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most 365000 days"):
        parse_duration(text)


def test_by_the_longest_duration_a_date_can_be_moved_both_ways() -> None:
    longest, now = parse_duration("365000d"), datetime.now(UTC)
    assert now - longest < now < now + longest


@given(st.integers(0, 10**10))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


def test_rates() -> None:
    assert parse_rate("100/min") == Rate(100, 60)
    assert parse_rate("1/s") == Rate(1, 1)
    assert str(parse_rate("5/hour")) == "5/h"
    assert parse_rate(str(Rate(7, 86400))) == Rate(7, 86400)


@pytest.mark.parametrize(
    "text", ["", "100", "0/min", "-1/min", "100/ min", "1.5/s", "100/week", "1/s\n"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rate(text)


@pytest.mark.parametrize(
    "text", ["a@b.example", "first.last+tag@sub.acme.example", "o'neil@acme.example"]
)
def test_addresses(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "@", "a@", "@b.example", "a@b", "a b@c.example", "a@b@c.example", "a@.example",
        "a@b..example", "a@-b.example", "a@b.example\n", ".a@b.example", "a..b@c.example",
        "<a@b.example>", "a@" + "b" * 250 + ".example", "a@b_c.example",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    assert not is_email(text)
