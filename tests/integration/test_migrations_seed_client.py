"""What a client that only knows the seed does with our tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg.types.json import Jsonb

SEED = Path(__file__).parents[1] / "cases" / "seed"
QUERIES = [
    query.strip() for query in (SEED / "queries.sql").read_text().split(";") if query.strip()
]
NOW = datetime(2025, 11, 21, 12, 0, 0, 123000)  # noqa: DTZ001 - as the client sends it

Client: TypeAlias = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def client(upgraded_url: str) -> Iterator[Client]:
    with psycopg.connect(upgraded_url, autocommit=True) as connection:
        for statement in (
            'INSERT INTO "organization" ("id", "name", "updatedAt") VALUES (%s, %s, %s)',
            'INSERT INTO "users" ("id", "email", "updatedAt") VALUES (%s, %s, %s)',
        ):
            for name in ("one", "two"):
                connection.execute(statement, (name, name, NOW))
        yield connection


def insert(client: Client, table: str, **columns: Any) -> tuple[Any, ...]:
    """Insert as Prisma does: only columns of the seed's model, everything back."""
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join(["%s"] * len(columns))
    statement = f'INSERT INTO "public"."{table}" ({names}) VALUES ({marks}) RETURNING *'
    values = [Jsonb(v) if isinstance(v, dict) else v for v in columns.values()]
    row = client.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row


def insert_automation(client: Client, name: str = "a1", organization: str = "one") -> None:
    insert(
        client,
        "automations",
        id=name,
        name="Invoices",
        triggerType="WEBHOOK",
        triggerConfig={"path": "invoices"},
        orgId=organization,
        createdById="one",
        updatedAt=NOW,
    )


def test_rows_with_only_the_seeds_columns_can_be_written(client: Client) -> None:
    insert_automation(client)
    insert(
        client,
        "workflow_executions",
        id="e1",
        automationId="a1",
        orgId="one",
        triggerData={},
        updatedAt=NOW,
    )
    insert(
        client,
        "workflow_triggers",
        id="t1",
        automationId="a1",
        orgId="one",
        triggerType="SCHEDULE",
        triggerEvent="schedule",
        cronSchedule="0 9 * * *",
        updatedAt=NOW,
    )
    insert(
        client,
        "automation_templates",
        id="p1",
        name="Leads",
        description="Leads",
        category="LEAD_MANAGEMENT",
        n8nWorkflowJson="{}",
        updatedAt=NOW,
    )
    insert(
        client,
        "integration_credentials",
        id="c1",
        userId="one",
        orgId="one",
        provider="GMAIL",
        credentialName="Main",
        credentialData="sealed",
        updatedAt=NOW,
    )

    found = client.execute(
        'SELECT "status"::text, "retryCount", "startedAt" IS NOT NULL, "updatedAt" '
        "FROM workflow_executions"
    ).fetchone()

    assert found == ("RUNNING", 0, True, NOW)


def test_two_executions_without_our_columns_do_not_collide(client: Client) -> None:
    insert_automation(client)
    for name in ("e1", "e2"):
        insert(
            client,
            "workflow_executions",
            id=name,
            automationId="a1",
            orgId="one",
            triggerData={},
            updatedAt=NOW,
        )

    count = client.execute("SELECT count(*) FROM workflow_executions").fetchone()

    assert count == (2,)


@pytest.mark.parametrize("query", QUERIES, ids=[f"query{n}" for n in range(1, len(QUERIES) + 1)])
def test_every_query_of_the_seed_runs_unchanged(query: str, client: Client) -> None:
    insert_automation(client)

    client.execute(f"PREPARE q AS {query}".encode())
    taken = query.count("$1")
    client.execute(b"EXECUTE q('one')" if taken else b"EXECUTE q")

    assert len(QUERIES) == 7


def test_the_seeds_list_of_active_automations_finds_the_row(client: Client) -> None:
    insert_automation(client)
    insert_automation(client, "a2", "two")

    rows = client.execute(QUERIES[0].replace("$1", "'one'").encode()).fetchall()

    assert [row[0] for row in rows] == ["a1"]


def test_deleting_an_automation_takes_its_executions_and_triggers_along(client: Client) -> None:
    insert_automation(client)
    execution = {"automationId": "a1", "orgId": "one", "triggerData": {}, "updatedAt": NOW}
    insert(client, "workflow_executions", id="e1", **execution)
    insert(
        client,
        "workflow_triggers",
        id="t1",
        automationId="a1",
        orgId="one",
        triggerType="API_CALL",
        triggerEvent="api",
        updatedAt=NOW,
    )

    client.execute("DELETE FROM automations WHERE id = 'a1'")

    left = client.execute(
        "SELECT (SELECT count(*) FROM workflow_executions), (SELECT count(*) FROM workflow_triggers)"
    ).fetchone()
    assert left == (0, 0)


@pytest.mark.parametrize("table", ["organization", "automations"])
def test_a_changed_id_reaches_all_rows_that_refer_to_it(client: Client, table: str) -> None:
    insert_automation(client, "one")
    execution = {"automationId": "one", "orgId": "one", "triggerData": {}, "updatedAt": NOW}
    insert(client, "workflow_executions", id="e1", **execution)
    client.execute(
        "INSERT INTO reconciler.memberships (organization_id, user_id, role) "
        "VALUES ('one', 'one', 'ADMIN')"
    )

    client.execute(f"UPDATE {table} SET id = 'new' WHERE id = 'one'".encode())

    column = {"organization": "orgId", "automations": "automationId"}[table]
    found = client.execute(f'SELECT "{column}" FROM workflow_executions'.encode()).fetchone()
    assert found == ("new",)


def test_an_organization_with_automations_cannot_be_deleted(client: Client) -> None:
    insert_automation(client)

    with pytest.raises(psycopg.errors.IntegrityError):
        client.execute("DELETE FROM organization WHERE id = 'one'")


def test_an_execution_cannot_point_into_another_organization(client: Client) -> None:
    insert_automation(client)

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        insert(
            client,
            "workflow_executions",
            id="e1",
            automationId="a1",
            orgId="two",
            triggerData={},
            updatedAt=NOW,
        )


def test_the_same_idempotency_key_starts_only_one_execution(client: Client) -> None:
    insert_automation(client)
    insert_automation(client, "a2")
    shared = {"orgId": "one", "triggerData": {}, "updatedAt": NOW, "idempotencyKey": "k"}
    insert(client, "workflow_executions", id="e1", automationId="a1", **shared)
    insert(client, "workflow_executions", id="e2", automationId="a2", **shared)

    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(client, "workflow_executions", id="e3", automationId="a1", **shared)


def test_a_producer_needs_one_insert_for_an_event(client: Client) -> None:
    client.execute(
        "INSERT INTO reconciler.events (organization_id, type) VALUES ('one', 'document.uploaded')"
    )

    found = client.execute("SELECT length(id), data, dispatched_at FROM reconciler.events")

    assert found.fetchone() == (36, {}, None)


@pytest.mark.parametrize("change", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_audit_log_only_grows(client: Client, change: str) -> None:
    client.execute(
        "INSERT INTO reconciler.audit_log (organization_id, sequence, actor, action, object, "
        "allowed, previous_hash, hash) VALUES ('one', 1, 'me', 'apply', 'x', true, "
        "sha256('a'), sha256('b'))"
    )

    with pytest.raises(psycopg.errors.RestrictViolation):
        client.execute(change.format("reconciler.audit_log").encode())


def test_the_seeds_rollback_removes_its_tables(client: Client) -> None:
    client.execute((SEED / "rollback.sql").read_bytes())

    found = client.execute("SELECT to_regclass('automations'), to_regclass('organization')")

    assert found.fetchone() == (None, "organization")
