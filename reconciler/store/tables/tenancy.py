"""Our tables about who may do what: members, tokens, data keys, the audit log."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import INET

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

_ROLES = "role IN ('ADMIN', 'OPERATOR', 'CLIENT')"

memberships = Table(
    "memberships",
    metadata,
    Column(
        "organization_id",
        Text,
        ForeignKey("organization.id", ondelete="CASCADE", onupdate="CASCADE"),
        nullable=False,
    ),
    Column(
        "user_id",
        Text,
        ForeignKey("users.id", ondelete="CASCADE", onupdate="CASCADE"),
        nullable=False,
    ),
    required("role"),
    made_at("created_at"),
    PrimaryKeyConstraint("organization_id", "user_id"),
    CheckConstraint(_ROLES, name="role_check"),
    Index("memberships_user_id_idx", "user_id"),
    schema=OURS,
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column(
        "organization_id",
        Text,
        ForeignKey("organization.id", ondelete="CASCADE", onupdate="CASCADE"),
        nullable=False,
    ),
    Column("user_id", Text, ForeignKey("users.id", ondelete="CASCADE", onupdate="CASCADE")),
    required("name"),
    required("role"),
    texts("scopes"),
    Column("secret_hash", LargeBinary, nullable=False),
    required("created_by"),
    made_at("created_at"),
    *(Column(name, MOMENT) for name in ("expires_at", "last_used_at", "revoked_at")),
    CheckConstraint(_ROLES, name="role_check"),
    CheckConstraint("octet_length(secret_hash) = 32", name="secret_hash_check"),
    Index("api_tokens_organization_id_idx", "organization_id"),
    Index("api_tokens_user_id_idx", "user_id"),
    schema=OURS,
)

encryption_keys = Table(
    "encryption_keys",
    metadata,
    Column("id", Text, primary_key=True),
    required("organization_id"),
    required("wrapped"),
    required("state", "active"),
    made_at("created_at"),
    Column("retired_at", MOMENT),
    CheckConstraint("state IN ('active', 'retired')", name="state_check"),
    CheckConstraint("(state = 'retired') = (retired_at IS NOT NULL)", name="retired_check"),
    Index(
        "encryption_keys_active_key",
        "organization_id",
        unique=True,
        postgresql_where=text("state = 'active'"),
    ),
    Index("encryption_keys_organization_id_idx", "organization_id"),
    schema=OURS,
)

audit_log = Table(
    "audit_log",
    metadata,
    required("organization_id"),
    Column("sequence", BigInteger, nullable=False, autoincrement=False),
    made_at("at"),
    required("actor"),
    *optional("token_id"),
    required("action"),
    required("object"),
    Column("allowed", Boolean, nullable=False),
    *optional("before_fingerprint", "after_fingerprint", "revision", "request_id"),
    Column("remote_address", INET),
    document("detail", "{}"),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("organization_id", "sequence"),
    CheckConstraint("sequence > 0", name="sequence_check"),
    CheckConstraint(
        "octet_length(hash) = 32 AND octet_length(previous_hash) = 32", name="hash_check"
    ),
    schema=OURS,
)

_GUARD = """
CREATE FUNCTION reconciler.refuse_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the audit log only grows' USING ERRCODE = 'restrict_violation';
END
$$
"""

for _statement in (
    _GUARD,
    "CREATE TRIGGER audit_log_grows BEFORE UPDATE OR DELETE ON reconciler.audit_log "
    "FOR EACH ROW EXECUTE FUNCTION reconciler.refuse_change()",
    "CREATE TRIGGER audit_log_stays BEFORE TRUNCATE ON reconciler.audit_log "
    "FOR EACH STATEMENT EXECUTE FUNCTION reconciler.refuse_change()",
):
    event.listen(audit_log, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]
