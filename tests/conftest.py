"""Fixtures for all tests: a fresh PostgreSQL database, a real n8n."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.embedded.postgres import EmbeddedPostgres
from tests import servers
from tests.servers import RealN8n


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        servers.make_state()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        servers.remove_state()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL of this test run."""
    with servers.shared_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The address of an empty database that is dropped after the test."""
    with servers.fresh_database(postgres_server.url()) as url:
        yield url


@pytest.fixture(scope="session")
def real_n8n() -> Iterator[RealN8n]:
    """A real n8n with an owner and an API key, shared by the whole run."""
    with servers.shared_n8n() as n8n:
        yield n8n
