"""Our own tables, in the schema `reconciler`.

A downgrade puts them aside with their rows; the next upgrade brings them back.
"""

from __future__ import annotations

from alembic import op

from reconciler.store.ownership import KEPT, Ownership

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NOW = "timestamptz NOT NULL DEFAULT clock_timestamp()"
FOLLOW = "ON DELETE CASCADE ON UPDATE CASCADE"
ORGANIZATION = f"text NOT NULL REFERENCES public.organization (id) {FOLLOW}"
USER = f"REFERENCES public.users (id) {FOLLOW}"
AUTOMATION = f"REFERENCES public.automations (id) {FOLLOW}"
EXECUTION = f"REFERENCES public.workflow_executions (id) {FOLLOW}"

# Table -> columns and constraints, and the indexes beside them.
TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "resources": (
        f"""
        organization text NOT NULL,
        kind text NOT NULL,
        name text NOT NULL,
        row_id text NOT NULL,
        object_id text,
        deposed text[] NOT NULL DEFAULT '{{}}',
        payload json NOT NULL,
        digest text,
        attempted json,
        stamp_version text,
        stamp_published text,
        stamp_updated_at text,
        revision text,
        conditions jsonb NOT NULL DEFAULT '[]',
        protected boolean NOT NULL DEFAULT false,
        removed_at timestamptz,
        created_at {NOW},
        updated_at {NOW},
        applied_at timestamptz,
        CONSTRAINT resources_pkey PRIMARY KEY (organization, kind, name),
        CONSTRAINT resources_row_id_key UNIQUE (row_id),
        CONSTRAINT resources_organization_check CHECK (organization <> '' AND organization !~ '/'),
        CONSTRAINT resources_kind_check CHECK (kind <> '' AND kind !~ '/'),
        CONSTRAINT resources_name_check CHECK (name <> '' AND name !~ '/'),
        CONSTRAINT resources_conditions_check CHECK (jsonb_typeof(conditions) = 'array')
        """,
        (
            "INDEX resources_object_id_idx ON reconciler.resources (object_id) "
            "WHERE object_id IS NOT NULL",
        ),
    ),
    "operations": (
        f"""
        id text NOT NULL,
        kind text NOT NULL,
        actor text NOT NULL,
        host text NOT NULL,
        git_revision text,
        plan_digest text,
        organizations text[] NOT NULL DEFAULT '{{}}',
        started_at {NOW},
        finished_at timestamptz,
        outcome text,
        summary jsonb NOT NULL DEFAULT '{{}}',
        CONSTRAINT operations_pkey PRIMARY KEY (id),
        CONSTRAINT operations_outcome_check
            CHECK (outcome IN ('done', 'partly', 'failed', 'interrupted')),
        CONSTRAINT operations_finished_check CHECK ((outcome IS NULL) = (finished_at IS NULL))
        """,
        ("INDEX operations_started_at_idx ON reconciler.operations (started_at DESC, id DESC)",),
    ),
    "operation_steps": (
        f"""
        operation_id text NOT NULL,
        ordinal integer NOT NULL,
        organization text NOT NULL,
        kind text NOT NULL,
        name text NOT NULL,
        action text NOT NULL,
        reason text NOT NULL DEFAULT '',
        detail json,
        intended_at {NOW},
        finished_at timestamptz,
        outcome text,
        error text,
        CONSTRAINT operation_steps_pkey PRIMARY KEY (operation_id, ordinal),
        CONSTRAINT operation_steps_operation_id_fkey FOREIGN KEY (operation_id)
            REFERENCES reconciler.operations (id) ON DELETE CASCADE,
        CONSTRAINT operation_steps_outcome_check CHECK (outcome IN ('done', 'failed')),
        CONSTRAINT operation_steps_finished_check CHECK ((outcome IS NULL) = (finished_at IS NULL))
        """,
        (
            "INDEX operation_steps_open_idx ON reconciler.operation_steps (intended_at) "
            "WHERE outcome IS NULL",
            "INDEX operation_steps_address_idx ON reconciler.operation_steps "
            "(organization, kind, name, intended_at DESC)",
        ),
    ),
    "locks": (
        f"""
        name text NOT NULL,
        backend_pid integer NOT NULL,
        actor text NOT NULL,
        host text NOT NULL,
        process_id integer NOT NULL,
        operation text NOT NULL,
        acquired_at {NOW},
        CONSTRAINT locks_pkey PRIMARY KEY (name)
        """,
        (),
    ),
    "holds": (
        f"""
        id text NOT NULL,
        organization text NOT NULL,
        kind text,
        name text,
        held text[] NOT NULL,
        reason text NOT NULL,
        created_by text NOT NULL,
        created_at {NOW},
        until timestamptz,
        released_at timestamptz,
        released_by text,
        CONSTRAINT holds_pkey PRIMARY KEY (id),
        CONSTRAINT holds_held_check CHECK (
            held <@ ARRAY['heal', 'apply', 'fire'] AND cardinality(held) > 0),
        CONSTRAINT holds_name_check CHECK (name IS NULL OR kind IS NOT NULL)
        """,
        (
            "INDEX holds_open_idx ON reconciler.holds (organization, kind, name) "
            "WHERE released_at IS NULL",
        ),
    ),
    "memberships": (
        f"""
        organization_id {ORGANIZATION},
        user_id text NOT NULL {USER},
        role text NOT NULL,
        created_at {NOW},
        CONSTRAINT memberships_pkey PRIMARY KEY (organization_id, user_id),
        CONSTRAINT memberships_role_check CHECK (role IN ('ADMIN', 'OPERATOR', 'CLIENT'))
        """,
        ("INDEX memberships_user_id_idx ON reconciler.memberships (user_id)",),
    ),
    "api_tokens": (
        f"""
        id text NOT NULL,
        organization_id {ORGANIZATION},
        user_id text {USER},
        name text NOT NULL,
        role text NOT NULL,
        scopes text[] NOT NULL DEFAULT '{{}}',
        secret_hash bytea NOT NULL,
        created_by text NOT NULL,
        created_at {NOW},
        expires_at timestamptz,
        last_used_at timestamptz,
        revoked_at timestamptz,
        CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
        CONSTRAINT api_tokens_role_check CHECK (role IN ('ADMIN', 'OPERATOR', 'CLIENT')),
        CONSTRAINT api_tokens_secret_hash_check CHECK (octet_length(secret_hash) = 32)
        """,
        (
            "INDEX api_tokens_organization_id_idx ON reconciler.api_tokens (organization_id)",
            "INDEX api_tokens_user_id_idx ON reconciler.api_tokens (user_id)",
        ),
    ),
    "encryption_keys": (
        f"""
        id text NOT NULL,
        organization_id text NOT NULL,
        wrapped text NOT NULL,
        state text NOT NULL DEFAULT 'active',
        created_at {NOW},
        retired_at timestamptz,
        CONSTRAINT encryption_keys_pkey PRIMARY KEY (id),
        CONSTRAINT encryption_keys_state_check CHECK (state IN ('active', 'retired')),
        CONSTRAINT encryption_keys_retired_check CHECK ((state = 'retired') =
            (retired_at IS NOT NULL))
        """,
        (
            "UNIQUE INDEX encryption_keys_active_key ON reconciler.encryption_keys "
            "(organization_id) WHERE state = 'active'",
            "INDEX encryption_keys_organization_id_idx ON reconciler.encryption_keys "
            "(organization_id)",
        ),
    ),
    "automation_runtime": (
        f"""
        automation_id text NOT NULL {AUTOMATION},
        max_concurrency integer,
        timeout_seconds integer,
        max_retries smallint,
        rate_limit integer,
        rate_period_seconds integer,
        max_queued integer,
        queue_deadline_seconds integer,
        at_most_once boolean NOT NULL DEFAULT false,
        running integer NOT NULL DEFAULT 0,
        last_served_at timestamptz,
        breaker text NOT NULL DEFAULT 'CLOSED',
        breaker_until timestamptz,
        open_count integer NOT NULL DEFAULT 0,
        consecutive_failures integer NOT NULL DEFAULT 0,
        window_started_at timestamptz,
        window_total integer NOT NULL DEFAULT 0,
        window_failed integer NOT NULL DEFAULT 0,
        rate_window_started_at timestamptz,
        rate_current integer NOT NULL DEFAULT 0,
        rate_previous integer NOT NULL DEFAULT 0,
        updated_at {NOW},
        CONSTRAINT automation_runtime_pkey PRIMARY KEY (automation_id),
        CONSTRAINT automation_runtime_breaker_check
            CHECK (breaker IN ('CLOSED', 'OPEN', 'HALF_OPEN')),
        CONSTRAINT automation_runtime_running_check CHECK (running >= 0),
        CONSTRAINT automation_runtime_settings_check CHECK (
            max_concurrency > 0 AND timeout_seconds > 0 AND max_retries >= 0 AND rate_limit > 0
            AND rate_period_seconds > 0 AND max_queued > 0 AND queue_deadline_seconds > 0)
        """,
        (),
    ),
    "execution_attempts": (
        f"""
        execution_id text NOT NULL {EXECUTION},
        attempt smallint NOT NULL,
        worker text NOT NULL,
        n8n_execution_id text,
        started_at {NOW},
        finished_at timestamptz,
        outcome text,
        error text,
        CONSTRAINT execution_attempts_pkey PRIMARY KEY (execution_id, attempt),
        CONSTRAINT execution_attempts_outcome_check
            CHECK (outcome IN ('SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED', 'LOST'))
        """,
        (),
    ),
    "webhook_deliveries": (
        f"""
        id bigint GENERATED ALWAYS AS IDENTITY,
        organization_id {ORGANIZATION},
        automation_id text NOT NULL,
        trigger_id text,
        accepted boolean NOT NULL,
        reason text,
        replay_key text,
        execution_id text,
        remote_address inet,
        body_bytes integer,
        received_at {NOW},
        CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id),
        CONSTRAINT webhook_deliveries_reason_check CHECK (accepted OR reason IS NOT NULL)
        """,
        (
            "UNIQUE INDEX webhook_deliveries_replay_key ON reconciler.webhook_deliveries "
            "(automation_id, replay_key) WHERE accepted AND replay_key IS NOT NULL",
            "INDEX webhook_deliveries_automation_id_idx ON reconciler.webhook_deliveries "
            "(automation_id, received_at DESC)",
            "INDEX webhook_deliveries_organization_id_idx ON reconciler.webhook_deliveries "
            "(organization_id, received_at DESC)",
        ),
    ),
    "events": (
        f"""
        organization_id {ORGANIZATION},
        id text NOT NULL DEFAULT gen_random_uuid()::text,
        type text NOT NULL,
        data jsonb NOT NULL DEFAULT '{{}}',
        created_at {NOW},
        dispatched_at timestamptz,
        CONSTRAINT events_pkey PRIMARY KEY (organization_id, id),
        CONSTRAINT events_type_check CHECK (type <> '')
        """,
        ("INDEX events_open_idx ON reconciler.events (created_at) WHERE dispatched_at IS NULL",),
    ),
    "audit_log": (
        f"""
        organization_id text NOT NULL,
        sequence bigint NOT NULL,
        at {NOW},
        actor text NOT NULL,
        token_id text,
        action text NOT NULL,
        object text NOT NULL,
        allowed boolean NOT NULL,
        before_fingerprint text,
        after_fingerprint text,
        revision text,
        request_id text,
        remote_address inet,
        detail jsonb NOT NULL DEFAULT '{{}}',
        previous_hash bytea NOT NULL,
        hash bytea NOT NULL,
        CONSTRAINT audit_log_pkey PRIMARY KEY (organization_id, sequence),
        CONSTRAINT audit_log_sequence_check CHECK (sequence > 0),
        CONSTRAINT audit_log_hash_check CHECK (
            octet_length(hash) = 32 AND octet_length(previous_hash) = 32)
        """,
        (),
    ),
}

STORAGE = {"automation_runtime": "WITH (fillfactor = 50)"}

GUARD = """
CREATE FUNCTION reconciler.refuse_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows' USING ERRCODE = 'restrict_violation';
END
$$
"""
GUARDED = (
    "CREATE TRIGGER audit_log_grows BEFORE UPDATE OR DELETE ON reconciler.audit_log "
    "FOR EACH ROW EXECUTE FUNCTION reconciler.refuse_change()",
    "CREATE TRIGGER audit_log_stays BEFORE TRUNCATE ON reconciler.audit_log "
    "FOR EACH STATEMENT EXECUTE FUNCTION reconciler.refuse_change()",
)


def upgrade() -> None:
    ours = Ownership(op.get_bind())
    back = [ours.bring_back(name) for name in TABLES]
    if all(back):
        op.execute(f"ALTER FUNCTION {KEPT}.refuse_change() SET SCHEMA reconciler")
        return
    for name, (columns, indexes) in TABLES.items():
        op.execute(f"CREATE TABLE reconciler.{name} ({columns}) {STORAGE.get(name, '')}")
        for index in indexes:
            op.execute(f"CREATE {index}")
    op.execute(GUARD)
    for trigger in GUARDED:
        op.execute(trigger)


def downgrade() -> None:
    Ownership(op.get_bind()).keep_relations([*TABLES])
    op.execute(f"ALTER FUNCTION reconciler.refuse_change() SET SCHEMA {KEPT}")
