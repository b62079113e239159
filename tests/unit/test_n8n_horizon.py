"""The time that a listing of n8n's executions is limited to."""

from __future__ import annotations

import pytest

from reconciler.n8n.horizon import Horizon
from reconciler.resource.payload import Json


def test_nothing_is_known_before_a_run_was_seen() -> None:
    assert Horizon().before(5.0) is None


def test_the_time_is_a_minute_before_in_the_words_of_n8n() -> None:
    horizon = Horizon()
    horizon.learn("2026-03-01T12:00:00.250Z", seen=100.0)
    assert horizon.before(110.0) == "2026-03-01T11:59:10.250Z"


def test_the_last_run_tells_the_time() -> None:
    horizon = Horizon()
    horizon.learn("2026-03-01T12:00:00.000Z", seen=100.0)
    horizon.learn("2026-03-01T11:00:00.000Z", seen=110.0)
    assert horizon.before(110.0) == "2026-03-01T10:59:00.000Z"


@pytest.mark.parametrize("words", [None, 7, "", "yesterday", "0001-01-01T00:00:00+00:00"])
def test_what_is_no_time_teaches_nothing(words: Json) -> None:
    horizon = Horizon()
    horizon.learn("2026-03-01T12:00:00.000Z", seen=100.0)
    horizon.learn(words, seen=100.0)
    assert horizon.before(100.0) == "2026-03-01T11:59:00.000Z"
