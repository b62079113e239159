"""Up, down and up again: what is kept, what is dropped, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconciler.errors import (
    ConfigError,
    ConflictError,
    DatabaseTooNew,
    DatabaseTooOld,
    ExitCode,
    UsageError,
)
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.store import migrate
from reconciler.store.database import Database
from reconciler.store.inventory import Inventory
from reconciler.store.ownership import Ownership
from reconciler.store.version import HEAD, KNOWN
from reconciler.store.writes import RowWrite
from tests.integration.catalogue import read_catalogue

ALL = list(KNOWN)
SEED = Path(__file__).parents[1] / "cases" / "seed"
NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
ADDRESS = Address("acme", "Automation", "invoices")
ENTRY = Recorded(address=ADDRESS, row_id="a1", payload={"row": {"name": "Invoices"}})

HOST = """
CREATE TABLE organization (id varchar(30) PRIMARY KEY, slug text NOT NULL, name text);
CREATE TABLE users (id text PRIMARY KEY, email text UNIQUE, "passwordHash" text);
CREATE TABLE invoices (id text PRIMARY KEY, "orgId" text REFERENCES organization (id));
INSERT INTO organization VALUES ('o1', 'acme', 'Acme');
INSERT INTO users VALUES ('u1', 'ops@acme.example', 'x');
INSERT INTO invoices VALUES ('i1', 'o1')
"""


def run(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


async def write_an_automation(url: str, new_id: Callable[[], str]) -> None:
    async with Database(url) as database:
        inventory = Inventory(database, new_id=new_id)
        automation = {
            "name": "Invoices",
            "triggerType": "SCHEDULE",
            "triggerConfig": {},
            "orgId": "o1",
            "createdBy": "ops@acme.example",
        }
        trigger = {
            "automationId": "a1",
            "orgId": "o1",
            "triggerType": "SCHEDULE",
            "triggerEvent": "schedule",
            "timezone": "Europe/Berlin",
            "nextFireAt": NOW,
        }
        writes = [
            RowWrite(table="organization", row_id="o1", columns={"name": "Acme"}),
            RowWrite(table="automations", row_id="a1", columns=automation),
            RowWrite(table="workflow_triggers", row_id="t1", columns=trigger),
        ]
        await inventory.settle(ENTRY, writes, now=NOW)


async def test_an_upgrade_tells_which_revisions_ran_and_a_second_one_does_nothing(
    empty_url: str,
) -> None:
    first = await migrate.upgrade(empty_url)
    second = await migrate.upgrade(empty_url)

    assert first == ALL
    assert second == []
    assert await migrate.current(empty_url) == HEAD


async def test_all_rows_survive_a_downgrade_and_an_upgrade(
    upgraded_url: str, new_id: Callable[[], str]
) -> None:
    await write_an_automation(upgraded_url, new_id)

    undone = await migrate.downgrade(upgraded_url, "0001")
    kept = run(upgraded_url, "SELECT name FROM automations")
    await migrate.upgrade(upgraded_url)

    assert undone == ["0004", "0003", "0002"]
    assert kept == [("Invoices",)]
    async with Database(upgraded_url) as database:
        inventory = Inventory(database, new_id=new_id)
        assert await inventory.load() == {ADDRESS: ENTRY}
        rows = await inventory.rows.select_rows("workflow_triggers", ["t1"])
        assert (rows["t1"]["timezone"], rows["t1"]["nextFireAt"]) == ("Europe/Berlin", NOW)


async def test_each_step_down_and_up_again_ends_in_the_same_tables(upgraded_url: str) -> None:
    before = read_catalogue(upgraded_url)

    for _ in range(len(ALL)):
        await migrate.downgrade(upgraded_url, "-1")
    await migrate.upgrade(upgraded_url)
    for revision in ("0002", "0001", "0002"):
        step = migrate.upgrade if revision == "0002" else migrate.downgrade
        await migrate.downgrade(upgraded_url, "0001")
        await step(upgraded_url, revision)
    await migrate.upgrade(upgraded_url)

    assert read_catalogue(upgraded_url) == before


async def test_downgrade_to_base_leaves_nothing_of_ours(upgraded_url: str) -> None:
    await migrate.downgrade(upgraded_url, "base")

    left = read_catalogue(upgraded_url)

    assert (left.columns, left.enums, left.functions) == ({}, {}, {})
    assert run(upgraded_url, "SELECT 1 FROM pg_namespace WHERE nspname ~ '^reconciler'") == []
    assert await migrate.current(upgraded_url) is None


async def test_the_hosts_tables_are_left_as_they_are(empty_url: str) -> None:
    run(empty_url, HOST)
    before = read_catalogue(empty_url)

    await migrate.upgrade(empty_url)
    between = read_catalogue(empty_url)
    await migrate.downgrade(empty_url, "base")

    names = ("public.organization", "public.users", "public.invoices")
    assert {n: between.columns[n] for n in names} == {n: before.columns[n] for n in names}
    assert {n: between.indexes[n] for n in names} == {n: before.indexes[n] for n in names}
    assert read_catalogue(empty_url) == before
    assert run(empty_url, "SELECT count(*) FROM invoices JOIN organization o ON o.id = 'o1'") == [
        (1,)
    ]


async def test_tables_that_the_seeds_own_migration_made_are_taken_as_they_are(
    empty_url: str, new_id: Callable[[], str]
) -> None:
    run(empty_url, HOST)
    run(empty_url, (SEED / "migration.sql").read_text())
    run(
        empty_url,
        'INSERT INTO automation_templates (id, name, description, category, "n8nWorkflowJson", '
        "\"updatedAt\") VALUES ('p1', 'n', 'd', 'OTHER', '{}', now())",
    )
    before = read_catalogue(empty_url)

    await migrate.upgrade(empty_url)
    await migrate.downgrade(empty_url, "base")

    assert read_catalogue(empty_url) == before
    assert run(empty_url, "SELECT id FROM automation_templates") == [("p1",)]


async def test_a_table_of_the_same_name_with_other_columns_is_refused(empty_url: str) -> None:
    run(empty_url, "CREATE TABLE automations (id text PRIMARY KEY, name integer)")

    with pytest.raises(ConfigError, match='"automations" is there, but its column "name"'):
        await migrate.upgrade(empty_url)

    assert list(read_catalogue(empty_url).columns) == ["public.automations"]


async def test_an_organization_table_with_numeric_ids_is_refused(empty_url: str) -> None:
    run(empty_url, "CREATE TABLE organization (id integer PRIMARY KEY)")

    with pytest.raises(ConfigError, match='column "id" is integer instead of text'):
        await migrate.upgrade(empty_url)


async def test_an_enum_type_that_lacks_labels_is_refused(empty_url: str) -> None:
    run(empty_url, "CREATE TYPE \"TriggerType\" AS ENUM ('WEBHOOK')")

    with pytest.raises(ConfigError, match="lacks SCHEDULE, INTAKE_CREATED"):
        await migrate.upgrade(empty_url)


async def test_a_host_table_that_we_made_and_others_extended_is_not_dropped(
    upgraded_url: str,
) -> None:
    run(upgraded_url, "ALTER TABLE users ADD COLUMN password text")

    await migrate.downgrade(upgraded_url, "base")

    assert list(read_catalogue(upgraded_url).columns) == ["public.users"]


async def test_something_that_depends_on_our_tables_stops_the_downgrade(upgraded_url: str) -> None:
    run(upgraded_url, "CREATE VIEW report AS SELECT id FROM automations")

    with pytest.raises(ConflictError, match="depend"):
        await migrate.downgrade(upgraded_url, "base")

    assert await migrate.current(upgraded_url) == HEAD


async def test_a_migration_that_stops_half_way_leaves_nothing_and_can_be_rerun(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Ownership.add_columns

    def broken(self: Ownership, table: str, columns: dict[str, str]) -> None:
        whole(self, table, columns)
        if table == "workflow_triggers":
            message = "stopped half way"
            raise RuntimeError(message)

    monkeypatch.setattr(Ownership, "add_columns", broken)
    with pytest.raises(RuntimeError, match="half way"):
        await migrate.upgrade(empty_url)
    monkeypatch.undo()

    assert read_catalogue(empty_url).columns == {}
    assert await migrate.upgrade(empty_url) == ALL


async def test_a_killed_connection_during_an_upgrade_leaves_nothing(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Ownership.constraint
    seen: list[str] = []

    def kill(self: Ownership, table: str, name: str, definition: str) -> None:
        whole(self, table, name, definition)
        seen.append(name)
        if len(seen) == 10:
            run(
                empty_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
                "pg_backend_pid() AND datname = current_database() AND state ~ 'in transaction'",
            )

    monkeypatch.setattr(Ownership, "constraint", kill)
    with pytest.raises(Exception, match="broke"):
        await migrate.upgrade(empty_url)
    monkeypatch.undo()

    assert read_catalogue(empty_url).columns == {}
    assert await migrate.upgrade(empty_url) == ALL


async def test_two_upgrades_at_once_run_one_after_the_other(empty_url: str) -> None:
    ran = await asyncio.gather(migrate.upgrade(empty_url), migrate.upgrade(empty_url))

    assert sorted(ran) == [[], ALL]


async def test_a_database_newer_than_the_code_is_refused(upgraded_url: str) -> None:
    run(upgraded_url, "UPDATE reconciler.schema_version SET version_num = '0999'")

    async with Database(upgraded_url) as database:
        with pytest.raises(DatabaseTooNew, match="0999") as refused:
            await database.ready()
    with pytest.raises(DatabaseTooNew):
        await migrate.upgrade(upgraded_url)
    with pytest.raises(DatabaseTooNew):
        await migrate.downgrade(upgraded_url, "base")

    assert refused.value.exit_code == ExitCode.UNREACHABLE


@pytest.mark.parametrize("revision", ["0002", "base"])
async def test_a_database_older_than_the_code_names_the_command_that_helps(
    upgraded_url: str, revision: str
) -> None:
    await migrate.downgrade(upgraded_url, revision)

    async with Database(upgraded_url) as database:
        with pytest.raises(DatabaseTooOld) as refused:
            await database.ready()

    assert refused.value.hint == "run `reconciler db upgrade`"


async def test_an_unknown_revision_on_the_command_line_is_a_usage_error(upgraded_url: str) -> None:
    with pytest.raises(UsageError, match="0042"):
        await migrate.downgrade(upgraded_url, "0042")


async def test_the_seeds_rollback_by_hand_does_not_stop_downgrade_and_upgrade(
    upgraded_url: str, new_id: Callable[[], str]
) -> None:
    run(upgraded_url, (SEED / "rollback.sql").read_text())

    await migrate.downgrade(upgraded_url, "base")
    await migrate.upgrade(upgraded_url)
    await write_an_automation(upgraded_url, new_id)

    async with Database(upgraded_url) as database:
        loaded = await Inventory(database, new_id=new_id).load()
    assert loaded == {ADDRESS: replace(ENTRY, attempted=None)}
