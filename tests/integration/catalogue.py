"""What PostgreSQL's catalogue says about tables: to compare two databases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

Columns: TypeAlias = dict[str, tuple[str, bool, str | None]]  # type, not null, default

_COLUMNS = """
SELECT n.nspname || '.' || c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity::text
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND n.nspname IN ('public', 'reconciler') AND a.attnum > 0
  AND NOT a.attisdropped AND c.relname <> 'schema_version'
ORDER BY 1, a.attnum
"""
_INDEXES = """
SELECT schemaname || '.' || tablename, indexname, indexdef FROM pg_indexes
WHERE schemaname IN ('public', 'reconciler') AND tablename <> 'schema_version'
"""
# NOT NULL is a constraint of its own since PostgreSQL 18; it is compared with the columns.
_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid <> 0 AND connamespace IN ('public'::regnamespace, to_regnamespace('reconciler'))
  AND contype IN ('p', 'u', 'f', 'c') AND conrelid::regclass::text !~ 'schema_version'
"""
_ENUMS = """
SELECT t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
FROM pg_enum AS e JOIN pg_type AS t ON t.oid = e.enumtypid GROUP BY 1
"""
_TRIGGERS = """
SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
"""
_FUNCTIONS = """
SELECT proname, pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace IN ('public'::regnamespace, to_regnamespace('reconciler'))
"""
_OPTIONS = """
SELECT oid::regclass::text, reloptions FROM pg_class
WHERE relkind = 'r' AND reloptions IS NOT NULL
  AND relnamespace IN ('public'::regnamespace, to_regnamespace('reconciler'))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Tables with all that belongs to them."""

    columns: dict[str, Columns]
    indexes: dict[str, dict[str, str]]
    constraints: dict[str, dict[str, str]]
    enums: dict[str, list[str]]
    triggers: dict[str, dict[str, str]]
    functions: dict[str, str]
    options: dict[str, list[str]]


def read_catalogue(url: str) -> Catalogue:
    """Read what the database at *url* holds in `public` and `reconciler`."""
    with psycopg.connect(url) as connection:

        def rows(statement: str) -> list[tuple[Any, ...]]:
            return connection.execute(statement.encode()).fetchall()

        columns: dict[str, Columns] = {}
        for table, name, kind, not_null, default, identity in rows(_COLUMNS):
            columns.setdefault(table, {})[name] = (kind + identity, not_null, default)
        return Catalogue(
            columns=columns,
            indexes=_grouped(rows(_INDEXES)),
            constraints=_grouped(rows(_CONSTRAINTS)),
            enums=dict(rows(_ENUMS)),
            triggers=_grouped(rows(_TRIGGERS)),
            functions=dict(rows(_FUNCTIONS)),
            options=dict(rows(_OPTIONS)),
        )


def _grouped(rows: list[tuple[Any, ...]]) -> dict[str, dict[str, str]]:
    grouped: dict[str, dict[str, str]] = {}
    for table, name, definition in rows:
        grouped.setdefault(table, {})[name] = definition
    return grouped
