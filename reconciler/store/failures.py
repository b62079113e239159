"""PostgreSQL's errors in our words.

One function decides, so that every part of the store answers alike. The DETAIL
of an error is never repeated: it may hold values of the row. Not here: retries.
"""

from __future__ import annotations

import psycopg

from reconciler.errors import (
    ConfigError,
    ConflictError,
    DatabaseLost,
    DatabaseTooOld,
    DatabaseUnreachable,
    DeadlineExceeded,
    ReconcilerError,
)
from reconciler.store.url import Target

UPGRADE_HINT = "run `reconciler db upgrade`"
_UNDEFINED = ("42P01", "42703", "3F000", "42704", "42883")
_GONE = ("57P01", "57P02", "57P03", "57P05")


def refused(error: psycopg.Error, target: Target) -> ReconcilerError:
    """Explain why no connection could be made."""
    match error.sqlstate or _guess(error):
        case "28P01" | "28000":
            message = f'PostgreSQL at {target.place} refuses the login of "{target.user}"'
            return DatabaseUnreachable(message, hint="check user and password in DATABASE_URL")
        case "3D000":
            message = f"PostgreSQL answers, but there is no database at {target.place}"
            return DatabaseUnreachable(message, hint="create it, or correct DATABASE_URL")
        case "53300":
            message = f"PostgreSQL at {target.place} has no free connection"
            return DatabaseUnreachable(message, hint="raise max_connections or stop a client")
        case "FATAL":
            message = f"PostgreSQL at {target.place} refuses the connection"
            return DatabaseUnreachable(message, hint="see PostgreSQL's own log for the reason")
        case "57P03":
            message = f"PostgreSQL at {target.place} is starting up or shutting down"
            return DatabaseUnreachable(message, hint="try again in a few seconds")
        case _:
            message = f"PostgreSQL at {target.place} does not answer"
            return DatabaseUnreachable(message, hint="is it running, and is DATABASE_URL right?")


def _guess(error: psycopg.Error) -> str | None:
    """Recover the reason from the text: libpq gives no code for a failed connection."""
    text = str(error)
    for phrase, state in (
        ("password authentication failed", "28P01"),
        ("no password supplied", "28P01"),
        ("no pg_hba.conf entry", "28000"),
        ("role ", "28000"),
        ("too many clients", "53300"),
        ("remaining connection slots", "53300"),
        ("starting up", "57P03"),
        ("shutting down", "57P03"),
        ("recovery mode", "57P03"),
    ):
        if phrase in text:
            return state
    if "database " in text and "does not exist" in text:
        return "3D000"
    # The server's language may be another one; this word is the same in all.
    return "FATAL" if "FATAL:" in text else None


def translate(
    error: psycopg.Error, target: Target, *, broken: bool, committing: bool
) -> ReconcilerError:
    """Say what *error* means; *broken*: the connection is gone, *committing*: during COMMIT."""
    if broken or error.sqlstate in _GONE or (error.sqlstate or "").startswith("08"):
        if committing:
            message = f"the connection to PostgreSQL at {target.place} broke during a commit"
            return DatabaseLost(message, hint="run it again: what was done is found and kept")
        message = f"the connection to PostgreSQL at {target.place} broke, nothing was written"
        return DatabaseUnreachable(message, hint="is PostgreSQL still running?")
    if isinstance(error, psycopg.IntegrityError):
        return _integrity(error)
    if error.sqlstate in _UNDEFINED:
        message = f"the database at {target.place} lacks a table or a column that is needed"
        return DatabaseTooOld(message, hint=UPGRADE_HINT)
    return _other(error, target)


def _integrity(error: psycopg.IntegrityError) -> ReconcilerError:
    diag = error.diag
    table = f'"{diag.table_name}"'
    match error:
        case psycopg.errors.NotNullViolation():
            message = f'table {table} wants a value for column "{diag.column_name}"'
            hint = f'give "{diag.column_name}" a default, or create the row in its own application'
            return ConfigError(message, hint=hint)
        case psycopg.errors.UniqueViolation():
            message = f"table {table} already has a row like this ({diag.constraint_name})"
            return ConflictError(message, hint="somebody else wrote it: plan again")
        case psycopg.errors.ForeignKeyViolation():
            message = f"table {table} refers to a row that is missing ({diag.constraint_name})"
            return ConflictError(message, hint="a row was deleted or is still in use: plan again")
        case _:
            message = f"table {table} refuses the row ({diag.constraint_name})"
            return ReconcilerError(message)


def _other(error: psycopg.Error, target: Target) -> ReconcilerError:
    primary = error.diag.message_primary or type(error).__name__
    match error.sqlstate:
        case "57014":
            return DeadlineExceeded(f"PostgreSQL at {target.place} took too long for a statement")
        case "55P03":
            message = f"somebody holds a lock in the database at {target.place}"
            return ConflictError(message, hint="try again when the other work is done")
        case "40001" | "40P01":
            return ConflictError(f"two writers met in the database at {target.place}")
        case "42501":
            message = f'the role "{target.user}" lacks a right: {primary}'
            return ConfigError(message, hint="grant it, or use the owner of the tables")
        case "25006":
            message = f"PostgreSQL at {target.place} is read-only"
            return DatabaseUnreachable(message, hint="is DATABASE_URL a standby?")
        case "53100" | "53200":
            return DatabaseUnreachable(f"PostgreSQL at {target.place} cannot go on: {primary}")
        case "22P05" | "22021" | None if isinstance(error, psycopg.DataError):
            return _unfit(error)
        case "2BP01":
            message = f"other objects in the database depend on what would be dropped: {primary}"
            return ConflictError(message, hint="drop those first")
        case _:
            return ReconcilerError(f"PostgreSQL refuses a statement: {primary}")


def _unfit(error: psycopg.DataError) -> ReconcilerError:
    """Tell a text with NUL from other values; psycopg gives no code for what it refuses itself."""
    if error.sqlstate is None and "NUL (0x00)" not in str(error):
        message = "a value cannot be exchanged with PostgreSQL"  # which one its text may hold
        return ReconcilerError(message, hint="such as a time before the year 1 or after 9999")
    message = "a text contains a character that PostgreSQL cannot store (NUL)"
    return ReconcilerError(message, hint="remove the NUL character from the specs")
