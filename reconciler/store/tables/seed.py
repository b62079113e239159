"""The seed's five tables, with our additions below each (nullable or with a default)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB

from reconciler.store.predicates import LIVE_SCHEDULED, UNSCHEDULED
from reconciler.store.tables.base import counter, metadata, optional, required, stamps
from reconciler.store.tables.labels import (
    AUTOMATION_TRIGGER,
    EXECUTION_STATUS,
    INTEGRATION_PROVIDER,
    TEMPLATE_CATEGORY,
    TRIGGER_TYPE,
)
from reconciler.store.types import UtcTimestamp

_TRUE = text("true")
_UTC_NOW = text("(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')")


def _key(table: str, column: str, target: str, delete: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        [column],
        [target],
        name=f"{table}_{column}_fkey",
        ondelete=delete,
        onupdate="CASCADE",
    )


def _inside_organization(table: str) -> ForeignKeyConstraint:
    """Keep a row from pointing to an automation of another organization."""
    return ForeignKeyConstraint(
        ["orgId", "automationId"],
        ["automations.orgId", "automations.id"],
        name=f"{table}_orgId_automationId_fkey",
        ondelete="CASCADE",
        onupdate="CASCADE",
    )


def _tags(name: str) -> Column[Any]:
    return Column(name, ARRAY(Text), server_default=text("ARRAY[]::text[]"))


def _active() -> Column[Any]:
    return Column("isActive", Boolean, nullable=False, server_default=_TRUE)


automations = Table(
    "automations",
    metadata,
    Column("id", Text, primary_key=True),
    required("name"),
    *optional("description", "n8nWorkflowId", "webhookUrl"),
    _active(),
    Column("triggerType", AUTOMATION_TRIGGER, nullable=False),
    Column("triggerConfig", JSONB, nullable=False),
    Column("lastExecutedAt", UtcTimestamp),
    counter("executionCount"),
    counter("successCount"),
    counter("failureCount"),
    Column("avgExecutionTime", DOUBLE_PRECISION),
    required("orgId"),
    required("createdById"),
    _tags("tags"),
    Column("metadata", JSONB),
    *stamps(),
    _key("automations", "orgId", "organization.id", "RESTRICT"),
    _key("automations", "createdById", "users.id", "RESTRICT"),
    Index("automations_orgId_isActive_idx", "orgId", "isActive"),
    Index("automations_triggerType_idx", "triggerType"),
    Index("automations_createdById_idx", "createdById"),
    Index("automations_createdAt_idx", "createdAt"),
    UniqueConstraint("orgId", "id", name="automations_orgId_id_key"),
)

workflow_executions = Table(
    "workflow_executions",
    metadata,
    Column("id", Text, primary_key=True),
    required("automationId"),
    required("orgId"),
    *optional("n8nExecutionId"),
    Column("status", EXECUTION_STATUS, nullable=False, server_default="RUNNING"),
    Column("startedAt", UtcTimestamp, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
    Column("completedAt", UtcTimestamp),
    Column("executionTime", Integer),
    Column("triggerData", JSONB, nullable=False),
    Column("outputData", JSONB),
    *optional("errorMessage", "errorStack"),
    counter("retryCount"),
    Column("metadata", JSONB),
    *stamps(),
    *optional("triggerId"),
    Column("scheduledFor", UtcTimestamp),
    *optional("idempotencyKey"),
    Column("runAt", UtcTimestamp, nullable=False, server_default=_UTC_NOW),
    Column("priority", SmallInteger, nullable=False, server_default=text("100")),
    Column("attempt", SmallInteger, nullable=False, server_default=text("0")),
    Column("maxAttempts", SmallInteger, nullable=False, server_default=text("4")),
    *optional("leaseOwner"),
    Column("leaseExpiresAt", UtcTimestamp),
    Column("cancelRequestedAt", UtcTimestamp),
    Column("timeoutSeconds", Integer),
    *optional("revision", "retryOf"),
    *optional("cause", "method", "n8nVersionId"),
    Column("outputTruncated", Boolean, nullable=False, server_default=text("false")),
    *optional("errorNode"),
    Column("queueDeadline", UtcTimestamp),
    _key("workflow_executions", "automationId", "automations.id", "CASCADE"),
    _key("workflow_executions", "orgId", "organization.id", "RESTRICT"),
    _key("workflow_executions", "triggerId", "workflow_triggers.id", "SET NULL"),
    _key("workflow_executions", "retryOf", "workflow_executions.id", "SET NULL"),
    _inside_organization("workflow_executions"),
    Index("workflow_executions_automationId_status_idx", "automationId", "status"),
    Index("workflow_executions_orgId_startedAt_idx", "orgId", "startedAt"),
    Index("workflow_executions_status_idx", "status"),
    Index("workflow_executions_createdAt_idx", "createdAt"),
    Index(
        "workflow_executions_idempotencyKey_key",
        "automationId",
        "idempotencyKey",
        unique=True,
        postgresql_where=text('"idempotencyKey" IS NOT NULL'),
    ),
    Index(
        "workflow_executions_waiting_idx",
        "automationId",
        "priority",
        "runAt",
        "id",
        postgresql_where=text("(status = 'QUEUED') IS TRUE"),
    ),
    Index(
        "workflow_executions_due_idx",
        "runAt",
        postgresql_where=text("status = 'QUEUED' AND attempt >= 0"),
    ),
    Index(
        "workflow_executions_lease_idx",
        "leaseExpiresAt",
        postgresql_where=text("status = 'RUNNING'"),
    ),
    Index(
        "workflow_executions_triggerId_idx",
        "triggerId",
        postgresql_where=text('"triggerId" IS NOT NULL'),
    ),
    Index(
        "workflow_executions_retryOf_idx",
        "retryOf",
        postgresql_where=text('"retryOf" IS NOT NULL'),
    ),
    Index("workflow_executions_orgId_createdAt_idx", "orgId", "createdAt", "id"),
    Index("workflow_executions_automationId_createdAt_idx", "automationId", "createdAt", "id"),
    Index(
        "workflow_executions_queueDeadline_idx",
        "queueDeadline",
        postgresql_where=text("status = 'QUEUED' AND \"queueDeadline\" IS NOT NULL"),
    ),
    Index(
        "workflow_executions_live_schedule_idx",
        "triggerId",
        postgresql_where=text(LIVE_SCHEDULED),
    ),
)

workflow_triggers = Table(
    "workflow_triggers",
    metadata,
    Column("id", Text, primary_key=True),
    required("automationId"),
    required("orgId"),
    Column("triggerType", TRIGGER_TYPE, nullable=False),
    required("triggerEvent"),
    *optional("webhookUrl", "cronSchedule"),
    Column("eventFilters", JSONB),
    _active(),
    Column("lastTriggeredAt", UtcTimestamp),
    counter("triggerCount"),
    *stamps(),
    *optional("name", "timezone", "misfire"),
    Column("misfireGrace", Integer),
    *optional("overlap"),
    Column("jitter", Integer),
    *optional("scheduleDigest"),
    Column("nextFireAt", UtcTimestamp),
    Column("auth", JSONB),
    *optional("authSecrets", "scheduleError"),
    _key("workflow_triggers", "automationId", "automations.id", "CASCADE"),
    _key("workflow_triggers", "orgId", "organization.id", "RESTRICT"),
    _inside_organization("workflow_triggers"),
    UniqueConstraint("orgId", "id", name="workflow_triggers_orgId_id_key"),
    CheckConstraint("misfire IN ('fire_once', 'skip', 'fire_all')", name="misfire_check"),
    CheckConstraint(
        "overlap IN ('skip', 'allow', 'queue_one', 'cancel_other')", name="overlap_check"
    ),
    Index("workflow_triggers_automationId_isActive_idx", "automationId", "isActive"),
    Index("workflow_triggers_orgId_idx", "orgId"),
    Index("workflow_triggers_triggerType_idx", "triggerType"),
    Index(
        "workflow_triggers_due_idx",
        "nextFireAt",
        postgresql_where=text('"isActive" AND "nextFireAt" IS NOT NULL'),
    ),
    Index(
        "workflow_triggers_event_idx",
        "orgId",
        "triggerEvent",
        postgresql_where=text('"isActive"'),
    ),
    Index("workflow_triggers_unscheduled_idx", "cronSchedule", postgresql_where=text(UNSCHEDULED)),
    Index("workflow_triggers_automationId_name_key", "automationId", "name", unique=True),
)

automation_templates = Table(
    "automation_templates",
    metadata,
    Column("id", Text, primary_key=True),
    required("name"),
    required("description"),
    Column("category", TEMPLATE_CATEGORY, nullable=False),
    required("difficulty", "beginner"),
    required("n8nWorkflowJson"),
    *optional("thumbnailUrl", "demoVideoUrl"),
    _tags("requiredIntegrations"),
    counter("useCount"),
    Column("rating", Float(53), nullable=False, server_default=text("0.0")),
    _tags("tags"),
    Column("isOfficial", Boolean, nullable=False, server_default=text("false")),
    *optional("publishedById"),
    Column("publishedAt", UtcTimestamp),
    *stamps(),
    Index("automation_templates_category_idx", "category"),
    Index("automation_templates_useCount_idx", "useCount"),
    Index("automation_templates_rating_idx", "rating"),
    Index("automation_templates_isOfficial_idx", "isOfficial"),
)

integration_credentials = Table(
    "integration_credentials",
    metadata,
    Column("id", Text, primary_key=True),
    required("userId"),
    required("orgId"),
    Column("provider", INTEGRATION_PROVIDER, nullable=False),
    required("credentialName"),
    required("credentialData"),
    *optional("scope"),
    Column("expiresAt", UtcTimestamp),
    _active(),
    Column("lastUsedAt", UtcTimestamp),
    *stamps(),
    _key("integration_credentials", "userId", "users.id", "CASCADE"),
    _key("integration_credentials", "orgId", "organization.id", "RESTRICT"),
    UniqueConstraint("orgId", "id", name="integration_credentials_orgId_id_key"),
    Index(
        "integration_credentials_userId_provider_credentialName_key",
        "userId",
        "provider",
        "credentialName",
        unique=True,
    ),
    Index("integration_credentials_orgId_idx", "orgId"),
    Index("integration_credentials_userId_isActive_idx", "userId", "isActive"),
)
