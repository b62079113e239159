"""Our tables about runs: the hot row of an automation, attempts, deliveries, events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET

from reconciler.store.tables.base import (
    MOMENT,
    OURS,
    counter,
    document,
    made_at,
    metadata,
    optional,
    required,
    texts,
)

_SETTINGS = (
    "max_concurrency > 0 AND timeout_seconds > 0 AND max_retries >= 0 AND rate_limit > 0 "
    "AND rate_period_seconds > 0 AND max_queued > 0 AND queue_deadline_seconds > 0"
)


def _following(name: str, target: str, **extra: Any) -> Column[Any]:
    """Make a column that follows the row it refers to, to its deletion."""
    key = ForeignKey(target, ondelete="CASCADE", onupdate="CASCADE")
    return Column(name, Text, key, nullable=False, **extra)


automation_runtime = Table(
    "automation_runtime",
    metadata,
    _following("automation_id", "automations.id", primary_key=True),
    *(Column(name, Integer) for name in ("max_concurrency", "timeout_seconds")),
    Column("max_retries", SmallInteger),
    *(Column(name, Integer) for name in ("rate_limit", "rate_period_seconds", "max_queued")),
    Column("queue_deadline_seconds", Integer),
    Column("at_most_once", Boolean, nullable=False, server_default=text("false")),
    counter("running"),
    Column("last_served_at", MOMENT),
    required("breaker", "CLOSED"),
    Column("breaker_until", MOMENT),
    counter("open_count"),
    counter("consecutive_failures"),
    Column("window_started_at", MOMENT),
    counter("window_total"),
    counter("window_failed"),
    Column("rate_window_started_at", MOMENT),
    counter("rate_current"),
    counter("rate_previous"),
    made_at("updated_at"),
    *optional("probe_execution_id"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Index("automation_runtime_paused_idx", "automation_id", postgresql_where=text("paused")),
    CheckConstraint("breaker IN ('CLOSED', 'OPEN', 'HALF_OPEN')", name="breaker_check"),
    CheckConstraint("running >= 0", name="running_check"),
    CheckConstraint(_SETTINGS, name="settings_check"),
    schema=OURS,
    postgresql_with={"fillfactor": 50},
)

execution_attempts = Table(
    "execution_attempts",
    metadata,
    _following("execution_id", "workflow_executions.id"),
    Column("attempt", SmallInteger, nullable=False),
    required("worker"),
    *optional("n8n_execution_id"),
    made_at("started_at"),
    Column("finished_at", MOMENT),
    *optional("outcome", "error"),
    *optional("n8n_version_id"),
    Column("milliseconds", Integer),
    *optional("error_node"),
    Column("adopted_at", MOMENT),
    PrimaryKeyConstraint("execution_id", "attempt"),
    CheckConstraint(
        "outcome IN ('SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED', 'LOST')", name="outcome_check"
    ),
    schema=OURS,
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _following("organization_id", "organization.id"),
    required("automation_id"),
    *optional("trigger_id"),
    Column("accepted", Boolean, nullable=False),
    *optional("reason", "replay_key", "execution_id"),
    Column("remote_address", INET),
    Column("body_bytes", Integer),
    made_at("received_at"),
    CheckConstraint("accepted OR reason IS NOT NULL", name="reason_check"),
    Index(
        "webhook_deliveries_replay_key",
        "automation_id",
        "replay_key",
        unique=True,
        postgresql_where=text("accepted AND replay_key IS NOT NULL"),
    ),
    Index(
        "webhook_deliveries_refused_idx",
        "automation_id",
        text("received_at DESC"),
        postgresql_where=text("NOT accepted"),
    ),
    Index("webhook_deliveries_organization_id_idx", "organization_id", text("received_at DESC")),
    schema=OURS,
)

webhook_rates = Table(
    "webhook_rates",
    metadata,
    _following("automation_id", "automations.id", primary_key=True),
    Column("slot", BigInteger, nullable=False, server_default=text("0")),
    Column("slot_seconds", Double, nullable=False, server_default=text("1")),
    Column("counts", ARRAY(Integer), nullable=False, server_default=text("'{}'")),
    schema=OURS,
)

native_cursor = Table(
    "native_cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("seen_until", MOMENT),
    *optional("holder"),
    Column("held_until", MOMENT),
    schema=OURS,
)

replies = Table(
    "replies",
    metadata,
    _following("execution_id", "workflow_executions.id", primary_key=True),
    Column("status", SmallInteger, nullable=False),
    document("headers", "{}"),
    Column("content", LargeBinary, nullable=False),
    made_at("at"),
    schema=OURS,
)

events = Table(
    "events",
    metadata,
    _following("organization_id", "organization.id"),
    Column("id", Text, nullable=False, server_default=text("gen_random_uuid()::text")),
    required("type"),
    document("data", "{}"),
    made_at("created_at"),
    Column("dispatched_at", MOMENT),
    made_at("due_at"),
    *(counter(name) for name in ("attempts", "executions")),
    *optional("error", "sent_by"),
    texts("started"),
    PrimaryKeyConstraint("organization_id", "id"),
    CheckConstraint("type <> ''", name="type_check"),
    Index("events_open_idx", "created_at", postgresql_where=text("dispatched_at IS NULL")),
    Index("events_due_idx", "due_at", postgresql_where=text("dispatched_at IS NULL")),
    Index(
        "events_dispatched_at_idx",
        "dispatched_at",
        postgresql_where=text("dispatched_at IS NOT NULL"),
    ),
    Index("events_organization_id_idx", "organization_id", text("created_at DESC"), "id"),
    schema=OURS,
)
