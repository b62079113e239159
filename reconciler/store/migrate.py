"""Upgrade and downgrade the database: under the writers' lock, in one transaction.

The migrations stand in `migrations/` of the repository and are packed into the
wheel as `reconciler/_migrations`. Loading this module loads SQLAlchemy and
Alembic; commands that only check the version use `Database.ready`.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

import reconciler
from reconciler.errors import DatabaseTooNew, ReconcilerError, UsageError
from reconciler.store.database import Database, schema_version
from reconciler.store.failures import translate
from reconciler.store.lock import WriterLock
from reconciler.store.version import HEAD, KNOWN

_SETTINGS = (
    "SET timezone TO 'UTC'",
    "SET search_path TO public",
    "SET client_min_messages TO warning",
    "SET lock_timeout TO '10s'",
    "SET statement_timeout TO 0",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One step of the schema's history."""

    id: str
    title: str


def migrations_folder() -> Path:
    """Find the migrations: in the wheel, else in the repository."""
    package = Path(reconciler.__file__).resolve().parent
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    message = "the migrations are missing from this installation"
    raise ReconcilerError(message, hint="install reconciler again")


async def upgrade(url: str, revision: str = "head", *, timeout: float = 30.0) -> list[str]:
    """Bring the database up to *revision*; returns the revisions that ran.

    Waits up to *timeout* seconds for other writers. Raises DatabaseTooNew, DatabaseUnreachable,
    LockHeld, and ConfigError when a table that is there stands in the way.
    """
    return await _locked(url, "db upgrade", timeout, command.upgrade, revision)


async def downgrade(url: str, revision: str, *, timeout: float = 30.0) -> list[str]:
    """Take the database back to *revision*, `-1` or `base`; returns the revisions undone.

    `base` drops what we made and nothing else.
    """
    return await _locked(url, "db downgrade", timeout, command.downgrade, revision)


async def current(url: str) -> str | None:
    """Read the database's revision; None: it was never upgraded."""
    async with Database(url) as database, database.transaction() as connection:
        return await schema_version(connection)


def history() -> list[Revision]:
    """List the revisions of this code, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    found = [Revision(id=s.revision, title=s.doc) for s in scripts.walk_revisions()]
    return found[::-1]


async def _locked(url: str, operation: str, timeout: float, run: Any, revision: str) -> list[str]:
    async with Database(url, application_name=f"reconciler {operation}") as database:
        lock = WriterLock(
            database,
            actor=_person(),
            host=socket.gethostname(),
            process_id=os.getpid(),
            operation=operation,
        )
        async with lock.acquire(timeout):
            async with database.transaction() as connection:
                found = await schema_version(connection)
            if found is not None and found not in KNOWN:
                message = (
                    f"the database at {database.place} was upgraded by a newer reconciler "
                    f"(revision {found})"
                )
                raise DatabaseTooNew(message, hint=f"install that version; this one knows {HEAD}")
            return await asyncio.to_thread(_run, database, run, revision)


def _run(database: Database, run: Any, revision: str) -> list[str]:
    """Let Alembic work in one transaction on a connection of its own."""
    target = database.target
    applied: list[str] = []
    config = _config()
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(target.conninfo),
        poolclass=NullPool,
    )
    try:
        with engine.begin() as connection:
            for setting in _SETTINGS:
                connection.exec_driver_sql(setting)
            _ensure_schema(connection)
            config.attributes["connection"] = connection
            config.attributes["applied"] = lambda *, step, **_: applied.extend(step.up_revision_ids)
            run(config, revision)
            _drop_when_empty(connection)
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            broken = error.connection_invalidated
            raise translate(error.orig, target, broken=broken, committing=True) from error
        raise
    except CommandError as error:
        raise UsageError(str(error), hint="see `reconciler db current`") from error
    finally:
        engine.dispose()
    return applied


def _ensure_schema(connection: Connection) -> None:
    """Make the schema that holds the version; asked first, for a role that may not make one."""
    found = connection.exec_driver_sql("SELECT to_regnamespace('reconciler') IS NOT NULL")
    if not found.scalar():
        connection.exec_driver_sql("CREATE SCHEMA reconciler")


def _drop_when_empty(connection: Connection) -> None:
    """Take the schema away after `downgrade base`, unless somebody else put things there."""
    left = connection.exec_driver_sql("SELECT count(*) FROM reconciler.schema_version").scalar()
    if left:
        return
    connection.exec_driver_sql("DROP TABLE reconciler.schema_version")
    others = connection.exec_driver_sql(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'reconciler'::regnamespace"
    )
    if not others.scalar():
        connection.exec_driver_sql("DROP SCHEMA reconciler")


def _config() -> Config:
    config = Config()
    folder = str(migrations_folder())
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
