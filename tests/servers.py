"""Real servers for tests: one PostgreSQL and one n8n for all workers of a test run.

The first worker that asks starts a server, the others share it, and it ends with the last one,
also when the run is killed. Not here: the doubles (`tests/doubles`).
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.stack import start_n8n

STATE_VARIABLE = "RECONCILER_TEST_STATE"


@dataclass(frozen=True, slots=True)
class RealN8n:
    """A running n8n: its address and a key with all scopes."""

    url: str
    api_key: str


def make_state() -> None:
    """Make the folder that all workers of this run share, once, before they start."""
    os.environ[STATE_VARIABLE] = tempfile.mkdtemp(prefix="reconciler-tests-")


def remove_state() -> None:
    """Remove the folder of this run."""
    shutil.rmtree(os.environ.pop(STATE_VARIABLE), ignore_errors=True)


def state() -> Path:
    """Return the folder that all workers of this run share."""
    return Path(os.environ[STATE_VARIABLE])


@contextmanager
def shared_postgres() -> Iterator[EmbeddedPostgres]:
    """Hold the run's PostgreSQL (not durable)."""
    with EmbeddedPostgres(state(), durable=False) as server:
        yield server


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Make an empty database on the server of *server_url*, yield its address, drop it."""
    name = f"t_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield server_url.rpartition("/")[0] + f"/{name}"
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


@contextmanager
def shared_n8n() -> Iterator[RealN8n]:
    """Hold the run's n8n, installing it into the user's cache folder if it is not there yet."""
    with EmbeddedPostgres(state(), durable=False) as postgres:
        also_hold = () if postgres.holder is None else (postgres.holder,)
        n8n, api_key = start_n8n(state(), postgres.url(), also_hold=also_hold)
        try:
            yield RealN8n(n8n.url, api_key)
        finally:
            n8n.stop()
