"""Times without zone as PostgreSQL writes them, also those that Python has no word for."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.adapt import Transformer
from psycopg.pq import Format

from reconciler.store.times import utc_adapters

_OID = psycopg.adapters.types["timestamp"].oid


class _Context:
    connection = None
    adapters = utc_adapters()


@pytest.mark.parametrize(
    "written, year",
    [
        (b"2026-03-01 09:30:00", 2026),
        (b"infinity", 9999),
        (b"10000-01-01 00:00:00", 9999),
        (b"-infinity", 1),
        (b"0044-03-15 12:00:00 BC", 1),
        (b"4713-11-24 00:00:00.123 BC", 1),
    ],
)
def test_a_time_that_python_has_no_word_for_is_the_nearest_one_it_has(
    written: bytes, year: int
) -> None:
    read: datetime = Transformer(_Context()).get_loader(_OID, Format.TEXT).load(written)

    assert (year, UTC.utcoffset(None)) == (read.year, read.utcoffset())
