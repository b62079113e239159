"""What commands take from a person: times."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from reconciler.cli.given import moment


def test_a_time_with_a_zone_is_taken_as_it_is() -> None:
    assert datetime(2026, 1, 31, 8, tzinfo=UTC) == moment("2026-01-31T09:00+01:00")


@pytest.mark.parametrize(
    "text", ["9999-12-31", "0001-01-01T00:00+14:00", "yesterday", "999999999d"]
)
def test_a_time_that_nobody_can_count_from_is_a_mistake_of_usage(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither a time"):
        moment(text)
