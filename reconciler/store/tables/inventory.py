"""Our tables about what was applied: the inventory, the journal, the lock, holds."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from reconciler.store.tables.base import (
    MOMENT,
    OURS,
    document,
    made_at,
    metadata,
    optional,
    required,
    texts,
)

created_objects = Table(
    "created_objects",
    metadata,
    required("kind"),
    required("name"),
    made_at("created_at"),
    PrimaryKeyConstraint("kind", "name"),
    schema=OURS,
)

resources = Table(
    "resources",
    metadata,
    required("organization"),
    required("kind"),
    required("name"),
    required("row_id"),
    *optional("object_id"),
    texts("deposed"),
    Column("payload", JSON, nullable=False),
    *optional("digest"),
    Column("attempted", JSON),
    *optional("stamp_version", "stamp_published", "stamp_updated_at", "revision"),
    document("conditions", "[]"),
    Column("protected", Boolean, nullable=False, server_default=text("false")),
    Column("removed_at", MOMENT),
    made_at("created_at"),
    made_at("updated_at"),
    Column("applied_at", MOMENT),
    PrimaryKeyConstraint("organization", "kind", "name"),
    UniqueConstraint("row_id", name="resources_row_id_key"),
    CheckConstraint("organization <> '' AND organization !~ '/'", name="organization_check"),
    CheckConstraint("kind <> '' AND kind !~ '/'", name="kind_check"),
    CheckConstraint("name <> '' AND name !~ '/'", name="name_check"),
    CheckConstraint("jsonb_typeof(conditions) = 'array'", name="conditions_check"),
    Index("resources_object_id_idx", "object_id", postgresql_where=text("object_id IS NOT NULL")),
    schema=OURS,
)

operations = Table(
    "operations",
    metadata,
    Column("id", Text, primary_key=True),
    required("kind"),
    required("actor"),
    required("host"),
    *optional("git_revision", "plan_digest"),
    texts("organizations"),
    made_at("started_at"),
    Column("finished_at", MOMENT),
    *optional("outcome"),
    document("summary", "{}"),
    CheckConstraint("outcome IN ('done', 'partly', 'failed', 'interrupted')", name="outcome_check"),
    CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="finished_check"),
    Index("operations_started_at_idx", text("started_at DESC"), text("id DESC")),
    schema=OURS,
)

operation_steps = Table(
    "operation_steps",
    metadata,
    required("operation_id"),
    Column("ordinal", Integer, nullable=False),
    required("organization"),
    required("kind"),
    required("name"),
    required("action"),
    required("reason", ""),
    Column("detail", JSON),
    made_at("intended_at"),
    Column("finished_at", MOMENT),
    *optional("outcome", "error"),
    PrimaryKeyConstraint("operation_id", "ordinal"),
    ForeignKeyConstraint(
        ["operation_id"],
        ["reconciler.operations.id"],
        name="operation_steps_operation_id_fkey",
        ondelete="CASCADE",
    ),
    CheckConstraint("outcome IN ('done', 'failed')", name="outcome_check"),
    CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="finished_check"),
    Index("operation_steps_open_idx", "intended_at", postgresql_where=text("outcome IS NULL")),
    Index("operation_steps_move_idx", "intended_at", postgresql_where=text("action = 'move'")),
    Index(
        "operation_steps_back_idx",
        "intended_at",
        postgresql_where=text("action = 'move' AND detail->>'back' = 'true'"),
    ),
    Index(
        "operation_steps_address_idx",
        "organization",
        "kind",
        "name",
        text("intended_at DESC"),
    ),
    schema=OURS,
)

locks = Table(
    "locks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("backend_pid", Integer, nullable=False),
    required("actor"),
    required("host"),
    Column("process_id", Integer, nullable=False),
    required("operation"),
    made_at("acquired_at"),
    schema=OURS,
)

holds = Table(
    "holds",
    metadata,
    Column("id", Text, primary_key=True),
    required("organization"),
    *optional("kind", "name"),
    Column("held", ARRAY(Text), nullable=False),
    required("reason"),
    required("created_by"),
    made_at("created_at"),
    Column("until", MOMENT),
    Column("released_at", MOMENT),
    *optional("released_by"),
    *optional("pinned", "rolled_back_from"),
    CheckConstraint(
        "held <@ ARRAY['heal', 'apply', 'fire'] AND cardinality(held) > 0", name="held_check"
    ),
    CheckConstraint("name IS NULL OR kind IS NOT NULL", name="name_check"),
    Index(
        "holds_open_idx",
        "organization",
        "kind",
        "name",
        postgresql_where=text("released_at IS NULL"),
    ),
    schema=OURS,
)

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    required("place"),
    *optional("seen_revision"),
    Column("seen_at", MOMENT),
    *optional("problem"),
    Column("problem_at", MOMENT),
    *optional("good_revision", "applied_revision"),
    Column("applied_at", MOMENT),
    *optional("rewritten_from"),
    Column("turned_at", MOMENT),
    Column("asked_at", MOMENT),
    schema=OURS,
)
