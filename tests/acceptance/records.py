"""All rows of a database without ids and times, so that two runs can be compared."""

from __future__ import annotations

import json
from typing import Any

import psycopg

TABLES = (
    "organization",
    "users",
    "automations",
    "workflow_triggers",
    "automation_templates",
    "integration_credentials",
    "reconciler.resources",
    "reconciler.memberships",
    "reconciler.automation_runtime",
)
_VOLATILE = frozenset({"id", "createdAt", "updatedAt", "credentialData"})


def normal_rows(database_url: str) -> dict[str, list[Any]]:
    """Read all tables that an apply writes; ids become addresses, times go."""
    with psycopg.connect(database_url) as connection:
        text = {
            table: [
                row for (row,) in connection.execute(f"SELECT to_jsonb(t)::text FROM {table} t")
            ]
            for table in TABLES
        }
        names = {
            id_: f"{side} of {address}"
            for side, ids in (("row", "row_id"), ("object", "object_id"))
            for address, id_ in connection.execute(
                f"SELECT concat_ws('/', organization, kind, name), {ids} "
                f"FROM reconciler.resources WHERE {ids} IS NOT NULL"
            )
        }
        people = connection.execute('SELECT id, email FROM "users"').fetchall()
    names |= {id_: f"user {email}" for id_, email in people}
    return {
        table: sorted((_named(row, names) for row in rows), key=str) for table, rows in text.items()
    }


def _named(text: str, names: dict[str, str]) -> Any:
    for id_, name in names.items():
        text = text.replace(id_, name)
    row = json.loads(text)
    kept = {
        key: value
        for key, value in row.items()
        if key not in _VOLATILE and not key.endswith("_at") and not key.startswith("stamp_")
    }
    return {**kept, "removed": row["removed_at"] is not None} if "removed_at" in row else kept


def inventory(database_url: str) -> dict[str, tuple[str, str | None, bool]]:
    """Give (row id, object id, removed) of each recorded resource, by address."""
    query = (
        "SELECT concat_ws('/', organization, kind, name), row_id, object_id, "
        "removed_at IS NOT NULL FROM reconciler.resources"
    )
    with psycopg.connect(database_url) as connection:
        return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(query)}


def differences(expected: Any, actual: Any, path: str = "") -> list[str]:
    """List where two documents differ, each by its path: short enough to read."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        keys = sorted(expected.keys() | actual.keys())
        return [d for k in keys for d in differences(expected.get(k), actual.get(k), f"{path}.{k}")]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [d for n, (e, a) in pairs for d in differences(e, a, f"{path}[{n}]")]
    return [] if expected == actual else [f"{path}: {expected!r} expected, {actual!r} found"]
