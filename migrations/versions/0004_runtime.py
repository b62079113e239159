"""What the runtime needs: more columns on the tables that are there, and tables of its own.

Each dict below may grow until this revision is released; a downgrade puts all
of it aside with its values.
"""

from __future__ import annotations

from alembic import op

from reconciler.store.ownership import Ownership

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The seed's tables: a column is nullable or has a default, so that its clients go on.
COLUMNS = {
    "workflow_executions": {
        "cause": "TEXT",
        "method": "TEXT",
        "n8nVersionId": "TEXT",
        "outputTruncated": "BOOLEAN NOT NULL DEFAULT false",
        "errorNode": "TEXT",
        "queueDeadline": "TIMESTAMP(3)",
    },
    "workflow_triggers": {"scheduleError": "TEXT"},
}

UNSCHEDULED = (
    '("triggerType" = \'SCHEDULE\') IS TRUE AND "scheduleDigest" IS DISTINCT FROM '
    "CASE WHEN \"isActive\" THEN COALESCE(timezone, 'UTC') || chr(10) || "
    "COALESCE(\"cronSchedule\", '') END"
)

INDEXES = {
    # Rows without a key need no entry, and each change of a row writes one.
    "workflow_executions_idempotencyKey_key": (
        'UNIQUE INDEX "{}" ON "workflow_executions"("automationId", "idempotencyKey") '
        'WHERE "idempotencyKey" IS NOT NULL'
    ),
    "workflow_executions_orgId_createdAt_idx": (
        'INDEX "{}" ON "workflow_executions"("orgId", "createdAt", "id")'
    ),
    "workflow_executions_automationId_createdAt_idx": (
        'INDEX "{}" ON "workflow_executions"("automationId", "createdAt", "id")'
    ),
    # In the place of ready_idx and next_idx of 0002. A planner that believes that few rows wait
    # takes any index on the status and sorts, and goes on to do so when fifty thousand wait. These
    # conditions mean the same, but no other index answers them.
    "workflow_executions_waiting_idx": (
        'INDEX "{}" ON "workflow_executions"("automationId", "priority", "runAt", "id") '
        "WHERE (status = 'QUEUED') IS TRUE"
    ),
    "workflow_executions_due_idx": (
        'INDEX "{}" ON "workflow_executions"("runAt") WHERE status = \'QUEUED\' AND attempt >= 0'
    ),
    "workflow_executions_queueDeadline_idx": (
        'INDEX "{}" ON "workflow_executions"("queueDeadline") '
        "WHERE status = 'QUEUED' AND \"queueDeadline\" IS NOT NULL"
    ),
    # Runs of a schedule that have not ended: what `overlap` looks at.
    "workflow_executions_live_schedule_idx": (
        'INDEX "{}" ON "workflow_executions"("triggerId") '
        "WHERE status IN ('QUEUED', 'RUNNING') AND \"scheduledFor\" IS NOT NULL"
    ),
    # Schedules that the scheduler has not taken in as they are now; nearly always empty.
    "workflow_triggers_unscheduled_idx": (
        'INDEX "{}" ON "workflow_triggers"("cronSchedule") WHERE ' + UNSCHEDULED
    ),
}

REPLACED = {
    "workflow_executions_automationId_idempotencyKey_key": (
        'UNIQUE INDEX "{}" ON "workflow_executions"("automationId", "idempotencyKey")'
    ),
    # Retention finds old rows by the seed's index on "createdAt".
    "workflow_executions_completedAt_idx": (
        'INDEX "{}" ON "workflow_executions"("completedAt") WHERE "completedAt" IS NOT NULL'
    ),
    "workflow_executions_ready_idx": (
        'INDEX "{}" ON "workflow_executions"("automationId", "priority", "runAt", "id") '
        "WHERE status = 'QUEUED'"
    ),
    "workflow_executions_next_idx": (
        'INDEX "{}" ON "workflow_executions"("runAt") WHERE status = \'QUEUED\''
    ),
}

# Our tables of earlier revisions: table -> its key, the columns that are added.
OUR_COLUMNS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "holds": (
        ("id",),
        {"pinned": "text", "rolled_back_from": "text"},
    ),
    "automation_runtime": (
        ("automation_id",),
        {"probe_execution_id": "text", "paused": "boolean NOT NULL DEFAULT false"},
    ),
    "execution_attempts": (
        ("execution_id", "attempt"),
        {
            "n8n_version_id": "text",
            "milliseconds": "integer",
            "error_node": "text",
            "adopted_at": "timestamptz",
        },
    ),
    "events": (
        ("organization_id", "id"),
        {
            "due_at": "timestamptz NOT NULL DEFAULT clock_timestamp()",
            "attempts": "integer NOT NULL DEFAULT 0",
            "executions": "integer NOT NULL DEFAULT 0",
            "error": "text",
            "sent_by": "text",
            # The triggers that it started: their executions may be gone before it is.
            "started": "text[] NOT NULL DEFAULT '{}'",
        },
    ),
}

# Name -> the rest of CREATE, for indexes on our tables of earlier revisions.
OUR_INDEXES: dict[str, str] = {
    "automation_runtime_paused_idx": (
        "INDEX automation_runtime_paused_idx ON reconciler.automation_runtime (automation_id) "
        "WHERE paused"
    ),
    "events_dispatched_at_idx": (
        "INDEX events_dispatched_at_idx ON reconciler.events (dispatched_at) "
        "WHERE dispatched_at IS NOT NULL"
    ),
    "events_due_idx": (
        "INDEX events_due_idx ON reconciler.events (due_at) WHERE dispatched_at IS NULL"
    ),
    # In the place of one over all deliveries: a plan that was made while the table was empty looked
    # for a sender's id there, and read all deliveries of the automation.
    "webhook_deliveries_refused_idx": (
        "INDEX webhook_deliveries_refused_idx ON reconciler.webhook_deliveries "
        "(automation_id, received_at DESC) WHERE NOT accepted"
    ),
    "events_organization_id_idx": (
        "INDEX events_organization_id_idx ON reconciler.events "
        "(organization_id, created_at DESC, id)"
    ),
    "operation_steps_move_idx": (
        "INDEX operation_steps_move_idx ON reconciler.operation_steps (intended_at) "
        "WHERE action = 'move'"
    ),
    "operation_steps_back_idx": (
        "INDEX operation_steps_back_idx ON reconciler.operation_steps (intended_at) "
        "WHERE action = 'move' AND detail->>'back' = 'true'"
    ),
}

OUR_REPLACED: dict[str, str] = {
    "webhook_deliveries_automation_id_idx": (
        "INDEX webhook_deliveries_automation_id_idx ON reconciler.webhook_deliveries "
        "(automation_id, received_at DESC)"
    ),
}

# Our new tables -> columns and constraints, and the indexes beside them (as in 0003).
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    # How far the runs that n8n started by itself have been recorded, and by which daemon.
    "native_cursor": (
        """
        name text NOT NULL,
        seen_until timestamptz,
        holder text,
        held_until timestamptz,
        CONSTRAINT native_cursor_pkey PRIMARY KEY (name)
        """,
        (),
    ),
    # A row of its own: a call that is counted does not wait for a run that is claimed.
    "webhook_rates": (
        """
        automation_id text NOT NULL
            REFERENCES public.automations (id) ON DELETE CASCADE ON UPDATE CASCADE,
        slot bigint NOT NULL DEFAULT 0,
        slot_seconds double precision NOT NULL DEFAULT 1,
        counts integer[] NOT NULL DEFAULT '{}',
        CONSTRAINT webhook_rates_pkey PRIMARY KEY (automation_id)
        """,
        (),
    ),
    # What a workflow's Respond to Webhook node said, for the caller that waits.
    "replies": (
        """
        execution_id text NOT NULL
            REFERENCES public.workflow_executions (id) ON DELETE CASCADE ON UPDATE CASCADE,
        status smallint NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        content bytea NOT NULL,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT replies_pkey PRIMARY KEY (execution_id)
        """,
        (),
    ),
    "sources": (
        """
        name text NOT NULL,
        place text NOT NULL,
        seen_revision text,
        seen_at timestamptz,
        problem text,
        problem_at timestamptz,
        good_revision text,
        applied_revision text,
        applied_at timestamptz,
        rewritten_from text,
        turned_at timestamptz,
        asked_at timestamptz,
        CONSTRAINT sources_pkey PRIMARY KEY (name)
        """,
        (),
    ),
}


def upgrade() -> None:
    ours = Ownership(op.get_bind())
    for table, columns in COLUMNS.items():
        ours.add_columns(table, columns, aside=f"{table}_{revision}")
    for name in REPLACED:
        ours.drop_index(name)
        ours.forget("index", name)
    for name, ddl in INDEXES.items():
        ours.index(name, "CREATE " + ddl.format(name))
    for table, (key, columns) in OUR_COLUMNS.items():
        ours.add_columns(table, columns, aside=f"{table}_{revision}", key=key, schema="reconciler")
    for name in OUR_REPLACED:
        op.execute(f"DROP INDEX reconciler.{name}")
    for ddl in OUR_INDEXES.values():
        op.execute(f"CREATE {ddl}")
    for name, (definition, indexes) in TABLES.items():
        if ours.bring_back(name):
            continue
        op.execute(f"CREATE TABLE reconciler.{name} ({definition})")
        for index in indexes:
            op.execute(f"CREATE {index}")


def downgrade() -> None:
    ours = Ownership(op.get_bind())
    ours.keep_relations([*TABLES])
    for name in OUR_INDEXES:
        op.execute(f'DROP INDEX reconciler."{name}"')
    for ddl in OUR_REPLACED.values():
        op.execute(f"CREATE {ddl}")
    for table, (key, columns) in OUR_COLUMNS.items():
        ours.keep_columns(table, columns, aside=f"{table}_{revision}", key=key, schema="reconciler")
    for name in reversed(INDEXES):
        ours.drop_index(name)
        ours.forget("index", name)
    if ours.shape('public."workflow_executions"'):  # the seed's own rollback may have been here
        for name, ddl in REPLACED.items():
            ours.index(name, "CREATE " + ddl.format(name))
    for table, columns in COLUMNS.items():
        ours.keep_columns(table, columns, aside=f"{table}_{revision}")
