"""How PostgreSQL carries out our statements: never by reading whole tables.

With statistics from another time, too: a plan outlives what it was made for. The same at a million
rows is a part of the benchmarks.
"""

from __future__ import annotations

import psycopg
import pytest

from tests.execution_plans import Shape, carry_out, fill, statements

SHAPE = Shape(ended=30_000)


@pytest.mark.parametrize("stale", [False, True], ids=["fresh", "stale"])
def test_no_statement_reads_a_whole_table_whatever_the_plan(upgraded_url: str, stale: bool) -> None:
    with psycopg.connect(upgraded_url, autocommit=True) as connection:
        fill(connection, SHAPE, stale=stale)
        carried = [
            one
            for name, statement, values in statements()
            for one in carry_out(connection, name, statement, values)
        ]

    assert [one for one in carried if one.scans] == []
    assert [one for one in carried if one.read > 4000] == []
