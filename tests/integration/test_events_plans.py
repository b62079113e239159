"""How PostgreSQL looks for events when there are many: by an index, never through all of them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from reconciler.store import event_records
from reconciler.store import event_statements as sql
from reconciler.trigger.events import EVENT_TYPES
from tests.integration.tenants import Tenants, tenants_of

pytestmark = pytest.mark.slow
TYPES = [type_.value for type_ in EVENT_TYPES]
FILL = """
INSERT INTO reconciler.events (organization_id, id, type, dispatched_at, created_at, error)
SELECT 'acme', 'e' || n, 'document.uploaded', now(), now() - n * interval '1 s',
    CASE WHEN n % 1000 = 0 THEN 'an error' END
FROM generate_series(1, 100000) AS n;
INSERT INTO reconciler.events (organization_id, id, type)
SELECT 'acme', 'w' || n, 'document.uploaded' FROM generate_series(1, 20) AS n;
INSERT INTO workflow_triggers
    (id, "automationId", "orgId", "triggerType", "triggerEvent", "updatedAt")
SELECT 't' || n, 'acme-greet', 'acme', 'DOCUMENT_UPLOADED',
    CASE WHEN n <= 5 THEN 'document.uploaded' ELSE 'custom.e' || n END, now()
FROM generate_series(1, 20000) AS n;
INSERT INTO workflow_executions
    (id, "automationId", "orgId", "triggerData", "updatedAt", "triggerId", "idempotencyKey")
SELECT 'x' || n, 'acme-greet', 'acme', '{}', now(), 't' || (n % 5 + 1),
    'evt:e' || n || ':t' || (n % 5 + 1)
FROM generate_series(1, 100000) AS n;
ANALYZE
"""
MOMENT = "2026-01-01T00:00:00Z"
STATEMENTS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "due": (sql.DUE, {"limit": 50, "most": 1000}),
    "one": (sql.ONE, {"limit": 1, "most": 1000, "organization": "acme", "id": "w1"}),
    "listeners": (
        sql.LISTENERS,
        {
            "places": [0],
            "organizations": ["acme"],
            "names": ["document.uploaded"],
            "types": [None],
            "event_types": TYPES,
        },
    ),
    "settle": (
        sql.SETTLE,
        {
            "organizations": ["acme"],
            "ids": ["w1"],
            "executions": [1],
            "started": ['["t1"]'],
            "errors": [None],
            "finished": [True],
        },
    ),
    "page": (
        event_records._LIST.format(state="true").encode(),
        {"organization": "acme", "type": None, "before": MOMENT, "before_id": "e", "limit": 50},
    ),
    "prune": (event_records._PRUNE, {"seconds": 1.0, "limit": 100}),
}


@pytest.fixture(scope="module")
def crowded(server_url: str, template: str) -> Iterator[Tenants]:
    """100,000 events that are done, 20 that wait, 20,000 triggers, 100,000 executions."""
    name = f"t_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        with tenants_of(server_url.rpartition("/")[0] + f"/{name}") as tenants:
            tenants.organization("acme")
            tenants.automation("acme", "greet")
            for statement in FILL.split(";"):
                tenants.sql(statement.replace("%", "%%"))
            yield tenants
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def scans(plan: Any) -> Iterator[str]:
    """Name the tables that a plan reads as a whole."""
    if plan["Node Type"] == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scans(part)


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_table_that_grows_is_read_as_a_whole(crowded: Tenants, name: str) -> None:
    statement, values = STATEMENTS[name]
    cursor = crowded._connection.execute(b"EXPLAIN (FORMAT JSON) " + statement, values)
    row = cursor.fetchone()
    assert row is not None
    [plan] = row[0]

    large = {"events", "workflow_triggers", "workflow_executions"}
    assert set() == large & set(scans(plan["Plan"])), json.dumps(plan, indent=1)


def test_the_executions_of_an_event_are_found_by_its_triggers(crowded: Tenants) -> None:
    values = {"organization": "acme", "id": "e5", "event_types": TYPES}
    cursor = crowded._connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + sql.STARTED, values)
    row = cursor.fetchone()
    assert row is not None
    [plan] = row[0]

    assert "workflow_executions" not in set(scans(plan["Plan"])), json.dumps(plan, indent=1)
    assert plan["Execution Time"] < 1000  # milliseconds; 20,000 triggers, on a busy machine
