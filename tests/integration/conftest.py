"""Fixtures for tests against PostgreSQL: empty databases, upgraded ones, a `Database`.

RECONCILER_TEST_POSTGRES names another server (its URL without a database), so
that the same tests run against other versions of PostgreSQL.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from reconciler.runtime.scheduler import Scheduler
from reconciler.store import migrate
from reconciler.store.database import Database
from tests import servers
from tests.integration.tenants import Tenants
from tests.integration.timetable import acme, equip, scheduler_at
from tests.worker_rig import Desk, desk

OTHER_SERVER = "RECONCILER_TEST_POSTGRES"


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> str:
    """The address of the server's own database, for a role that may do everything."""
    other = os.environ.get(OTHER_SERVER)
    if other:
        return other.rstrip("/") + "/postgres"
    url: str = request.getfixturevalue("postgres_server").url()
    return url


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """The address of an empty database."""
    with servers.fresh_database(server_url) as url:
        yield url


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """The name of an upgraded database that others are copied from."""
    with servers.fresh_database(server_url) as url:
        asyncio.run(migrate.upgrade(url))
        yield url.rpartition("/")[2]


@pytest.fixture
def upgraded_url(server_url: str, template: str) -> Iterator[str]:
    """The address of an upgraded database without rows."""
    name = f"t_{secrets.token_hex(6)}"
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(template)))
        yield server_url.rpartition("/")[0] + f"/{name}"
        connection.execute(drop)


@pytest.fixture
async def database(upgraded_url: str) -> AsyncIterator[Database]:
    """An upgraded database, ready for the store."""
    async with Database(upgraded_url) as database:
        yield database


@pytest.fixture
def new_id() -> Callable[[], str]:
    """Ids in the order they were asked for."""
    numbers = itertools.count(1)
    return lambda: f"id{next(numbers):04}"


@pytest.fixture
async def place(upgraded_url: str) -> AsyncIterator[Desk]:
    """What stores of executions work on: an upgraded database, opened."""
    async with desk(upgraded_url) as opened:
        yield opened


@pytest.fixture(params=[False, True], ids=["bare", "equipped"])
def world(upgraded_url: str, request: pytest.FixtureRequest) -> Iterator[Tenants]:
    """An automation with what the short statement asks for, or without, so that it goes round."""
    with acme(upgraded_url) as tenants:
        if request.param:
            equip(tenants)
        yield tenants


@pytest.fixture
async def scheduler(upgraded_url: str) -> AsyncIterator[Scheduler]:
    async with scheduler_at(upgraded_url) as scheduler:
        yield scheduler
