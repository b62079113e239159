"""How long a hold lasts, as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.cli.hold import lasting
from reconciler.errors import ExitCode, UsageError


def test_what_lasts_long_is_taken() -> None:
    assert lasting("never") is None
    assert lasting("365000d") == timedelta(days=365_000)
    left = lasting("9999-12-31")
    assert left is not None
    assert datetime.now(UTC) + left > datetime(9999, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["9999999d", "9999999d" * 120, "99999999999d", "9999-12-31T00:01", "9999-12-31T23:59-14:00"],
)
def test_an_end_that_no_date_can_name_is_a_mistake_of_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--until .*too far away") as caught:
        lasting(text)

    assert (ExitCode.USAGE, True) == (caught.value.exit_code, "never" in str(caught.value.hint))


@pytest.mark.parametrize("text", ["0s", "0001-01-01T00:00+14:00", "2020-01-01"])
def test_an_end_in_the_past_is_a_mistake_of_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--until .*over already"):
        lasting(text)


@pytest.mark.parametrize("text", ["yesterday", "5m\n", ""])
def test_what_is_no_time_at_all_is_a_mistake_of_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--until .*neither"):
        lasting(text)
