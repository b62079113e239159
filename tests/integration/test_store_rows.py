"""Rows of the seed's tables by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from reconciler.errors import ConfigError, ConflictError, ReconcilerError
from reconciler.store import migrate
from reconciler.store.database import Database
from reconciler.store.rows import Rows

NOW = datetime(2026, 3, 1, 9, 30, 0, 250000, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
AUTOMATION = {
    "name": "Invoices",
    "triggerType": "WEBHOOK",
    "triggerConfig": {"path": "x", "list": [1, {"deep": None}]},
    "orgId": "o1",
    "createdBy": "Ops@acme.example",
    "tags": ["finance", "a,b", 'q"uote'],
    "description": None,
}
CREDENTIAL = {
    "user": "ops@acme.example",
    "orgId": "o1",
    "provider": "SLACK",
    "credentialName": "Main",
    "credentialData": "v1:sealed",
}


@pytest.fixture
def rows(database: Database, new_id: Callable[[], str]) -> Rows:
    return Rows(database, new_id=new_id)


async def write(
    rows: Rows,
    database: Database,
    table: str,
    row_id: str,
    columns: Mapping[str, Any],
    now: datetime = NOW,
) -> None:
    async with database.transaction() as connection:
        await rows.upsert_row(connection, table, row_id, columns, now)


@pytest.fixture
async def acme(rows: Rows, database: Database) -> None:
    await write(rows, database, "organization", "o1", {"name": "Acme"})


@pytest.mark.usefixtures("acme")
async def test_a_row_comes_back_as_it_was_written(rows: Rows, database: Database) -> None:
    await write(rows, database, "automations", "a1", AUTOMATION)

    found = (await rows.select_rows("automations", ["a1", "unknown"]))["a1"]

    assert {name: found[name] for name in AUTOMATION} == {
        **AUTOMATION,
        "createdBy": "ops@acme.example",
    }
    assert (found["id"], found["isActive"], found["executionCount"]) == ("a1", True, 0)
    assert (found["createdAt"], found["updatedAt"]) == (NOW, NOW)


@pytest.mark.usefixtures("acme")
async def test_only_the_given_columns_change(rows: Rows, database: Database) -> None:
    await write(rows, database, "automations", "a1", AUTOMATION)
    before = await rows.select_rows("automations", ["a1"])

    await write(rows, database, "automations", "a1", {"isActive": False}, LATER)

    after = await rows.select_rows("automations", ["a1"])
    assert after == {"a1": {**before["a1"], "isActive": False, "updatedAt": LATER}}


@pytest.mark.usefixtures("acme")
async def test_every_table_can_be_written_twice_and_read(rows: Rows, database: Database) -> None:
    await write(rows, database, "automations", "a1", AUTOMATION)
    trigger = {
        "automationId": "a1",
        "orgId": "o1",
        "triggerType": "DOCUMENT_UPLOADED",
        "triggerEvent": "document.uploaded",
        "eventFilters": {"fileSize": {"lessThan": 10}},
        "name": "big",
        "misfireGrace": 3600,
        "nextFireAt": LATER,
        "auth": {"scheme": "none"},
    }
    template = {
        "name": "Leads",
        "description": "d",
        "category": "LEAD_MANAGEMENT",
        "n8nWorkflowJson": "{}",
        "requiredIntegrations": [],
        "rating": 4.5,
    }
    written: dict[str, dict[str, Any]] = {
        "workflow_triggers": trigger,
        "automation_templates": template,
        "integration_credentials": CREDENTIAL,
        "automation_runtime": {"max_concurrency": 5, "at_most_once": True},
    }
    for table, columns in written.items():
        row_id = "a1" if table == "automation_runtime" else f"{table}1"
        for _ in range(2):
            await write(rows, database, table, row_id, columns)

        assert await rows.select_rows(table, [row_id], tuple(columns)) == {row_id: columns}


async def test_the_members_of_an_organization_are_replaced_as_a_whole(
    rows: Rows, database: Database
) -> None:
    await write(rows, database, "organization", "o1", {"name": "Acme"})
    await write(rows, database, "organization", "o2", {"name": "Zeta"})
    first = {"members": {"a@acme.example": "ADMIN", "b@acme.example": "CLIENT"}}
    second = {"members": {"b@acme.example": "OPERATOR", "c@acme.example": "CLIENT"}}

    await write(rows, database, "memberships", "o1", first)
    await write(rows, database, "memberships", "o2", first)
    await write(rows, database, "memberships", "o1", second)

    assert await rows.select_rows("memberships", ["o1", "o2"]) == {"o1": second, "o2": first}


async def test_an_organization_can_lose_all_its_members(rows: Rows, database: Database) -> None:
    await write(rows, database, "organization", "o1", {"name": "Acme"})
    await write(rows, database, "memberships", "o1", {"members": {"a@acme.example": "ADMIN"}})

    await write(rows, database, "memberships", "o1", {"members": {}})

    assert await rows.select_rows("memberships", ["o1"]) == {}


async def test_a_person_is_one_user_however_the_address_is_spelt(rows: Rows) -> None:
    first = await rows.user_id_for("Ops@acme.example", now=NOW)
    second = await rows.user_id_for("ops@Acme.example", now=LATER)
    other = await rows.user_id_for("dev@acme.example", now=NOW)

    assert first == second
    assert other != first


@pytest.mark.usefixtures("acme")
async def test_a_user_who_is_there_is_used_and_left_alone(
    rows: Rows, database: Database, upgraded_url: str
) -> None:
    with psycopg.connect(upgraded_url) as connection:
        connection.execute(
            'INSERT INTO public.users (id, email, name, "updatedAt") VALUES '
            "('host1', 'OPS@acme.example', 'Olga', '2020-01-01')"
        )

    await write(rows, database, "automations", "a1", AUTOMATION)

    found = await rows.select_rows("automations", ["a1"], ["createdBy", "createdById"])
    users = await rows.select_rows("users", ["host1"], ["email", "name", "updatedAt"])
    assert found == {"a1": {"createdBy": "ops@acme.example", "createdById": "host1"}}
    assert users["host1"] == {
        "email": "OPS@acme.example",
        "name": "Olga",
        "updatedAt": datetime(2020, 1, 1, tzinfo=UTC),
    }


@pytest.mark.usefixtures("acme")
async def test_rows_are_found_by_the_value_of_a_column(rows: Rows, database: Database) -> None:
    await write(rows, database, "automations", "a1", {**AUTOMATION, "n8nWorkflowId": "wf1"})
    await write(rows, database, "automations", "a2", AUTOMATION)

    found = await rows.find_row_ids("automations", "n8nWorkflowId", ["wf1", "wf2"])

    assert found == {"wf1": "a1"}
    with pytest.raises(ReconcilerError, match="several rows"):
        await rows.find_row_ids("automations", "name", ["Invoices"])


@pytest.mark.usefixtures("acme")
async def test_two_credentials_of_one_name_are_a_conflict_that_names_the_key(
    rows: Rows, database: Database
) -> None:
    await write(rows, database, "integration_credentials", "c1", CREDENTIAL)

    with pytest.raises(ConflictError, match="userId_provider_credentialName_key") as refused:
        await write(rows, database, "integration_credentials", "c2", CREDENTIAL)

    assert "sealed" not in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.usefixtures("acme")
async def test_a_deleted_row_is_gone_and_may_be_deleted_twice(
    rows: Rows, database: Database
) -> None:
    await write(rows, database, "automations", "a1", AUTOMATION)

    for _ in range(2):
        async with database.transaction() as connection:
            await rows.delete_row(connection, "automations", "a1")

    assert await rows.select_rows("automations", ["a1"]) == {}


async def test_a_time_without_a_zone_is_refused(rows: Rows, database: Database) -> None:
    naive = NOW.replace(tzinfo=None)

    with pytest.raises(ValueError, match="zone"):
        await write(rows, database, "organization", "o1", {"name": "Acme"}, naive)


async def test_times_keep_their_moment_in_whatever_zone_they_come(
    rows: Rows, database: Database
) -> None:
    from zoneinfo import ZoneInfo

    berlin = NOW.astimezone(ZoneInfo("Europe/Berlin"))
    await write(rows, database, "organization", "o1", {"name": "Acme"}, berlin)

    found = await rows.select_rows("organization", ["o1"])
    assert found["o1"]["updatedAt"] == NOW
    assert found["o1"]["updatedAt"].utcoffset() == timedelta(0)


class TestHost:
    """A host application's own tables, with columns that we don't know."""

    async def prepare(self, url: str, organization: str, users: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE organization ({organization})".encode())
            connection.execute(f"CREATE TABLE users ({users})".encode())
        await migrate.upgrade(url)

    async def test_rows_are_written_where_the_unknown_columns_have_defaults(
        self, empty_url: str, new_id: Callable[[], str]
    ) -> None:
        users = "id text PRIMARY KEY, email text, plan text NOT NULL DEFAULT 'free'"
        await self.prepare(empty_url, "id text PRIMARY KEY, name text, size integer", users)
        async with Database(empty_url) as database:
            rows = Rows(database, new_id=new_id)
            await write(rows, database, "organization", "o1", {"name": "Acme"})
            await write(rows, database, "automations", "a1", AUTOMATION)

            found = await rows.select_rows("organization", ["o1"])
            automation = await rows.select_rows("automations", ["a1"], ["createdBy"])

        assert found == {"o1": {"id": "o1", "name": "Acme", "size": None}}
        assert automation == {"a1": {"createdBy": "ops@acme.example"}}

    async def test_a_column_that_must_have_a_value_is_named(
        self, empty_url: str, new_id: Callable[[], str]
    ) -> None:
        organization = "id text PRIMARY KEY, name text, slug text NOT NULL"
        await self.prepare(empty_url, organization, "id text PRIMARY KEY, email text")
        async with Database(empty_url) as database:
            rows = Rows(database, new_id=new_id)
            with pytest.raises(ConfigError) as refused:
                await write(rows, database, "organization", "o1", {"name": "Acme"})

        assert refused.value.message == 'table "organization" wants a value for column "slug"'
        assert 'give "slug" a default' in (refused.value.hint or "")

    async def test_an_organization_that_is_there_is_changed_all_the_same(
        self, empty_url: str, new_id: Callable[[], str]
    ) -> None:
        organization = "id text PRIMARY KEY, name text, slug text NOT NULL"
        await self.prepare(empty_url, organization, "id text PRIMARY KEY, email text")
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute("INSERT INTO public.organization VALUES ('o1', 'Old', 'acme')")
        async with Database(empty_url) as database:
            rows = Rows(database, new_id=new_id)
            await write(rows, database, "organization", "o1", {"name": "Acme"})

            found = await rows.select_rows("organization", ["o1"])

        assert found == {"o1": {"id": "o1", "name": "Acme", "slug": "acme"}}

    async def test_a_column_that_the_host_lacks_is_named(
        self, empty_url: str, new_id: Callable[[], str]
    ) -> None:
        await self.prepare(empty_url, "id text PRIMARY KEY", "id text PRIMARY KEY, email text")
        async with Database(empty_url) as database:
            rows = Rows(database, new_id=new_id)
            with pytest.raises(ConfigError, match='"organization" has no column "name"'):
                await write(rows, database, "organization", "o1", {"name": "Acme"})
            assert await rows.select_rows("organization", ["o1"], ["name"]) == {}
