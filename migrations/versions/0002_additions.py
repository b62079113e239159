"""Additions to the seed's tables: all nullable or with a default, so that its clients go on.

Keys that contain the organization keep a row from pointing into another one.
"""

from __future__ import annotations

from alembic import op

from reconciler.store.ownership import Ownership

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UTC_NOW = "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')"

COLUMNS = {
    "workflow_executions": {
        "triggerId": "TEXT",
        "scheduledFor": "TIMESTAMP(3)",
        "idempotencyKey": "TEXT",
        "runAt": f"TIMESTAMP(3) NOT NULL DEFAULT {UTC_NOW}",
        "priority": "SMALLINT NOT NULL DEFAULT 100",
        "attempt": "SMALLINT NOT NULL DEFAULT 0",
        "maxAttempts": "SMALLINT NOT NULL DEFAULT 4",
        "leaseOwner": "TEXT",
        "leaseExpiresAt": "TIMESTAMP(3)",
        "cancelRequestedAt": "TIMESTAMP(3)",
        "timeoutSeconds": "INTEGER",
        "revision": "TEXT",
        "retryOf": "TEXT",
    },
    "workflow_triggers": {
        "name": "TEXT",
        "timezone": "TEXT",
        "misfire": "TEXT",
        "misfireGrace": "INTEGER",
        "overlap": "TEXT",
        "jitter": "INTEGER",
        "scheduleDigest": "TEXT",
        "nextFireAt": "TIMESTAMP(3)",
        "auth": "JSONB",
        "authSecrets": "TEXT",
    },
}

KEYS = (
    ("automations", "automations_orgId_id_key", 'UNIQUE ("orgId", "id")'),
    ("workflow_triggers", "workflow_triggers_orgId_id_key", 'UNIQUE ("orgId", "id")'),
    ("integration_credentials", "integration_credentials_orgId_id_key", 'UNIQUE ("orgId", "id")'),
    (
        "workflow_executions",
        "workflow_executions_orgId_automationId_fkey",
        'FOREIGN KEY ("orgId", "automationId") REFERENCES "automations"("orgId", "id") '
        "ON DELETE CASCADE ON UPDATE CASCADE",
    ),
    (
        "workflow_triggers",
        "workflow_triggers_orgId_automationId_fkey",
        'FOREIGN KEY ("orgId", "automationId") REFERENCES "automations"("orgId", "id") '
        "ON DELETE CASCADE ON UPDATE CASCADE",
    ),
    (
        "workflow_executions",
        "workflow_executions_triggerId_fkey",
        'FOREIGN KEY ("triggerId") REFERENCES "workflow_triggers"("id") '
        "ON DELETE SET NULL ON UPDATE CASCADE",
    ),
    (
        "workflow_executions",
        "workflow_executions_retryOf_fkey",
        'FOREIGN KEY ("retryOf") REFERENCES "workflow_executions"("id") '
        "ON DELETE SET NULL ON UPDATE CASCADE",
    ),
    (
        "workflow_triggers",
        "workflow_triggers_misfire_check",
        "CHECK (misfire IN ('fire_once', 'skip', 'fire_all'))",
    ),
    (
        "workflow_triggers",
        "workflow_triggers_overlap_check",
        "CHECK (overlap IN ('skip', 'allow', 'queue_one', 'cancel_other'))",
    ),
)

INDEXES = {
    "workflow_executions_automationId_idempotencyKey_key": (
        'UNIQUE INDEX "{}" ON "workflow_executions"("automationId", "idempotencyKey")'
    ),
    "workflow_executions_ready_idx": (
        'INDEX "{}" ON "workflow_executions"("automationId", "priority", "runAt", "id") '
        "WHERE status = 'QUEUED'"
    ),
    "workflow_executions_next_idx": (
        'INDEX "{}" ON "workflow_executions"("runAt") WHERE status = \'QUEUED\''
    ),
    "workflow_executions_lease_idx": (
        'INDEX "{}" ON "workflow_executions"("leaseExpiresAt") WHERE status = \'RUNNING\''
    ),
    "workflow_executions_completedAt_idx": (
        'INDEX "{}" ON "workflow_executions"("completedAt") WHERE "completedAt" IS NOT NULL'
    ),
    "workflow_executions_triggerId_idx": (
        'INDEX "{}" ON "workflow_executions"("triggerId") WHERE "triggerId" IS NOT NULL'
    ),
    "workflow_executions_retryOf_idx": (
        'INDEX "{}" ON "workflow_executions"("retryOf") WHERE "retryOf" IS NOT NULL'
    ),
    "workflow_triggers_due_idx": (
        'INDEX "{}" ON "workflow_triggers"("nextFireAt") '
        'WHERE "isActive" AND "nextFireAt" IS NOT NULL'
    ),
    "workflow_triggers_event_idx": (
        'INDEX "{}" ON "workflow_triggers"("orgId", "triggerEvent") WHERE "isActive"'
    ),
    "workflow_triggers_automationId_name_key": (
        'UNIQUE INDEX "{}" ON "workflow_triggers"("automationId", "name")'
    ),
}


def upgrade() -> None:
    ours = Ownership(op.get_bind())
    for table, columns in COLUMNS.items():
        ours.add_columns(table, columns)
    for table, name, definition in KEYS:
        ours.constraint(table, name, definition)
    for name, ddl in INDEXES.items():
        ours.index(name, "CREATE " + ddl.format(name))


def downgrade() -> None:
    ours = Ownership(op.get_bind())
    for name in reversed(INDEXES):
        ours.drop_index(name)
        ours.forget("index", name)
    for table, name, _ in reversed(KEYS):
        ours.drop_constraint(table, name)
        ours.forget(f"constraint of {table}", name)
    for table, columns in COLUMNS.items():
        ours.keep_columns(table, columns)
