"""The tables as SQLAlchemy Core sees them: the same as the migrations make, a test says so.

The store itself talks psycopg; this is for the check of the migrations and for
queries that are composed. Importing it loads SQLAlchemy.
"""

from __future__ import annotations

from reconciler.store.tables.base import metadata
from reconciler.store.tables.host import organization, users
from reconciler.store.tables.inventory import (
    created_objects,
    holds,
    locks,
    operation_steps,
    operations,
    resources,
    sources,
)
from reconciler.store.tables.runtime import (
    automation_runtime,
    events,
    execution_attempts,
    webhook_deliveries,
)
from reconciler.store.tables.seed import (
    automation_templates,
    automations,
    integration_credentials,
    workflow_executions,
    workflow_triggers,
)
from reconciler.store.tables.tenancy import api_tokens, audit_log, encryption_keys, memberships

__all__ = [
    "api_tokens",
    "audit_log",
    "automation_runtime",
    "automation_templates",
    "automations",
    "created_objects",
    "encryption_keys",
    "events",
    "execution_attempts",
    "holds",
    "integration_credentials",
    "locks",
    "memberships",
    "metadata",
    "operation_steps",
    "operations",
    "organization",
    "resources",
    "sources",
    "users",
    "webhook_deliveries",
    "workflow_executions",
    "workflow_triggers",
]
