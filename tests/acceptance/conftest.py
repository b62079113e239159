"""Fixtures of the acceptance tests: a prompt, a spec folder, a database, an n8n (fake or real)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.store import migrate
from tests import servers
from tests.acceptance.instance import Instance
from tests.acceptance.repository import Repository
from tests.acceptance.shell import (
    Forker,
    FreshInterpreter,
    Shell,
    bare_environment,
    new_key,
    warmed_up,
)
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_http import serve
from tests.servers import RealN8n


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many points were struck."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """What commands are forked from."""
    with warmed_up() as forker:
        yield forker


@pytest.fixture(scope="session")
def upgraded_template(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The name of an upgraded database that others are copied from."""
    with servers.fresh_database(postgres_server.url()) as url:
        asyncio.run(migrate.upgrade(url))
        yield url.rpartition("/")[2]


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, upgraded_template: str) -> Iterator[str]:
    """The address of an upgraded database without rows."""
    name = f"t_{secrets.token_hex(6)}"
    copy_database(postgres_server.url(), upgraded_template, name)
    yield postgres_server.url(name)
    drop_database(postgres_server.url(), name)


def copy_database(server_url: str, source: str, name: str) -> None:
    """Make the database *name* with all that *source* holds."""
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(source)))


def drop_database(server_url: str, name: str) -> None:
    """Drop the database *name*, whoever is connected."""
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(drop.format(sql.Identifier(name)))


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a test plays with."""

    shell: Shell
    repository: Repository
    n8n: Instance
    database_url: str

    @property
    def organization(self) -> str:
        return self.repository.name

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """Ask PostgreSQL, or change something there by hand."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *values: object) -> object:
        """Ask PostgreSQL for one value."""
        [[value]] = self.rows(query, *values)
        return value


@pytest.fixture
def fake() -> FakeN8n:
    """An n8n in memory."""
    return FakeN8n()


@pytest.fixture
def fake_url(fake: FakeN8n) -> Iterator[str]:
    """The address that the fake listens on."""
    with serve(fake) as url:
        yield url


@pytest.fixture
def on_fake(
    tmp_path: Path, database_url: str, fake: FakeN8n, fake_url: str, forker: Forker
) -> Iterator[Stage]:
    """A real PostgreSQL and the fake n8n, with quickly started commands."""
    env = bare_environment(
        DATABASE_URL=database_url,
        N8N_URL=fake_url,
        N8N_API_KEY=fake.api_key,
        ENCRYPTION_KEY=new_key(),
        A_SECRET="a made-up secret",
        RECONCILER_N8N_TIMEOUT="5",
    )
    (tmp_path / ".reconciler").mkdir()  # where commands remember what an unchanged folder says
    n8n = Instance(fake_url, fake.api_key)
    repository = Repository(tmp_path / "specs", "acme")
    yield Stage(Shell(folder=tmp_path, env=env, starter=forker), repository, n8n, database_url)
    n8n.close()


@pytest.fixture
def on_real(tmp_path: Path, database_url: str, real_n8n: RealN8n) -> Iterator[Stage]:
    """A real PostgreSQL and a real n8n, and commands as a user starts them."""
    env = bare_environment(
        DATABASE_URL=database_url,
        N8N_URL=real_n8n.url,
        N8N_API_KEY=real_n8n.api_key,
        ENCRYPTION_KEY=new_key(),
        A_SECRET="a made-up secret",
    )
    n8n = Instance(real_n8n.url, real_n8n.api_key)
    organization = f"t{secrets.token_hex(5)}"
    repository = Repository(tmp_path / "specs", organization)
    shell = Shell(folder=tmp_path, env=env, starter=FreshInterpreter())
    yield Stage(shell, repository, n8n, database_url)
    n8n.clean_up(organization)
    n8n.close()
