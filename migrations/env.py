"""Alembic's entry point; run through `reconciler db ...` (`reconciler.store.migrate`).

The connection, its transaction and the advisory lock come from there, so that
one run is one transaction: it happens as a whole or not at all.
"""

from __future__ import annotations

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    message = "run `reconciler db upgrade` instead of alembic itself"
    raise SystemExit(message)

context.configure(
    connection=connection,
    version_table="schema_version",
    version_table_schema="reconciler",
    transaction_per_migration=False,
    on_version_apply=context.config.attributes["applied"],
)
with context.begin_transaction():
    context.run_migrations()
