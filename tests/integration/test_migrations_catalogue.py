"""The migrated database, table by table: the seed's law, and our own description of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from reconciler.store import migrate, tables
from reconciler.store.shapes import SHAPES
from reconciler.store.url import parse_url
from reconciler.store.version import HEAD, KNOWN
from tests.integration.catalogue import Catalogue, read_catalogue

SEED = Path(__file__).parents[1] / "cases" / "seed"
FIVE = (
    "automations",
    "workflow_executions",
    "workflow_triggers",
    "automation_templates",
    "integration_credentials",
)


@contextmanager
def sqlalchemy_connection(url: str) -> Iterator[Connection]:
    # A role called like our schema would find that one first.
    conninfo = parse_url(url, application_name="test").conninfo + " options='-c search_path=public'"
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(conninfo), poolclass=NullPool
    )
    with engine.connect() as connection:
        yield connection


@pytest.fixture
def ours(upgraded_url: str) -> Catalogue:
    return read_catalogue(upgraded_url)


@pytest.fixture
def seed(empty_url: str) -> Catalogue:
    """What the seed's own migration makes of a database that has its two host tables."""
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE organization (id text PRIMARY KEY)")
        connection.execute("CREATE TABLE users (id text PRIMARY KEY)")
        connection.execute((SEED / "migration.sql").read_bytes())
    return read_catalogue(empty_url)


@pytest.mark.parametrize("table", FIVE)
def test_the_seeds_columns_are_there_in_its_order_with_its_types_and_defaults(
    table: str, ours: Catalogue, seed: Catalogue
) -> None:
    wanted = seed.columns[f"public.{table}"]
    found = ours.columns[f"public.{table}"]

    assert list(found.items())[: len(wanted)] == list(wanted.items())


@pytest.mark.parametrize("table", FIVE)
def test_a_column_that_we_add_can_be_left_out_by_the_seeds_clients(
    table: str, ours: Catalogue, seed: Catalogue
) -> None:
    added = {
        name: column
        for name, column in ours.columns[f"public.{table}"].items()
        if name not in seed.columns[f"public.{table}"]
    }

    assert [
        name for name, (_, required, default) in added.items() if required and not default
    ] == []


@pytest.mark.parametrize("table", FIVE)
def test_the_seeds_indexes_are_there_exactly(table: str, ours: Catalogue, seed: Catalogue) -> None:
    wanted = seed.indexes[f"public.{table}"]

    assert {name: ours.indexes[f"public.{table}"].get(name) for name in wanted} == wanted


@pytest.mark.parametrize("table", FIVE)
def test_the_seeds_keys_are_there_with_their_actions(
    table: str, ours: Catalogue, seed: Catalogue
) -> None:
    wanted = seed.constraints[table]

    assert {name: ours.constraints[table].get(name) for name in wanted} == wanted


def test_the_enum_types_are_the_seeds_and_no_others(ours: Catalogue, seed: Catalogue) -> None:
    assert ours.enums == seed.enums
    assert len(seed.enums) == 5


def test_public_holds_nothing_but_the_seeds_tables_and_its_two_host_tables(
    ours: Catalogue,
) -> None:
    public = {name.partition(".")[2] for name in ours.columns if name.startswith("public.")}

    assert public == {*FIVE, "organization", "users"}


def test_the_tables_in_python_are_the_tables_of_the_migrations(
    ours: Catalogue, empty_url: str
) -> None:
    with sqlalchemy_connection(empty_url) as connection, connection.begin():
        connection.exec_driver_sql("CREATE SCHEMA reconciler")
        tables.metadata.create_all(connection)

    described = read_catalogue(empty_url)

    assert described.enums == ours.enums
    assert _unordered(described) == _unordered(ours)
    assert described.indexes == ours.indexes
    assert described.constraints == ours.constraints
    assert described.triggers == ours.triggers
    assert described.functions == ours.functions
    assert described.options == ours.options


def _unordered(catalogue: Catalogue) -> dict[str, dict[str, tuple[str, bool, str | None]]]:
    return {table: dict(sorted(columns.items())) for table, columns in catalogue.columns.items()}


def test_alembic_finds_nothing_to_generate(upgraded_url: str) -> None:
    with sqlalchemy_connection(upgraded_url) as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "compare_type": True,
                # Defaults are compared above; Alembic would compare two random ids.
                "compare_server_default": False,
                "version_table": "schema_version",
                "version_table_schema": "reconciler",
            },
        )
        difference = compare_metadata(context, tables.metadata)

    assert difference == []


def test_the_known_revisions_are_those_of_the_migrations() -> None:
    revisions = tuple(revision.id for revision in migrate.history())

    assert revisions == KNOWN
    assert revisions[-1] == HEAD


def test_the_json_columns_of_the_shapes_are_those_of_the_tables(ours: Catalogue) -> None:
    shapes = {
        name: shape for name, shape in SHAPES.items() if not shape.host and shape.schema == "public"
    }
    json_columns = {
        name: {
            column
            for column, (kind, _, _) in ours.columns[f"public.{name}"].items()
            if kind == "jsonb"
        }
        for name in shapes
    }

    assert {name: set(shape.json) for name, shape in shapes.items()} == json_columns
