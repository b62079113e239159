"""The embedded PostgreSQL, for real."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.store.admin import create_database

pytestmark = pytest.mark.postgres


def _scalar(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_each_test_gets_an_empty_database(postgres_url: str) -> None:
    assert 0 == _scalar(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def test_a_database_is_made_once_and_then_left_alone(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        create_database(server.url(), "shop")
        with psycopg.connect(server.url("shop")) as connection:
            connection.execute("CREATE TABLE kept ()")
        create_database(server.url(), "shop")
        assert 1 == _scalar(
            server.url("shop"), "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'"
        )
