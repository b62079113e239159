"""The connection: nothing before it is needed, clear words when it fails."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from reconciler.errors import (
    ConfigError,
    ConflictError,
    DatabaseLost,
    DatabaseTooOld,
    DatabaseUnreachable,
    DeadlineExceeded,
    ExitCode,
)
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.store.database import Database
from reconciler.store.inventory import Inventory
from tests.doubles.tcp import BreakingProxy

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
ENTRY = Recorded(address=Address("acme", "Automation", "a"), row_id="a1", payload={"x": 1})


@pytest.fixture
async def proxy(upgraded_url: str) -> AsyncIterator[BreakingProxy]:
    known = conninfo_to_dict(upgraded_url)
    proxy = BreakingProxy(str(known["host"]), int(known.get("port") or 5432))
    async with proxy.serving():
        yield proxy


@pytest.fixture
def far_url(proxy: BreakingProxy, upgraded_url: str) -> str:
    """The address of the database behind the proxy."""
    return altered(upgraded_url, host="127.0.0.1", port=str(proxy.port))


@pytest.fixture
async def far(far_url: str) -> AsyncIterator[Database]:
    """The database behind the proxy."""
    async with Database(far_url) as database:
        yield database


def altered(url: str, **changes: str) -> str:
    known = {**conninfo_to_dict(url), **changes}
    login = f"{known['user']}:{known.get('password', 'x')}"
    return f"postgresql://{login}@{known['host']}:{known['port']}/{known['dbname']}"


async def test_nothing_is_connected_before_it_is_needed() -> None:
    async with Database("postgresql://nobody:hidden7@127.0.0.1:1/none") as database:
        assert database.place == "127.0.0.1:1/none"


async def test_a_server_that_is_away_is_named_without_the_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with Database(f"postgresql://me:hidden7@127.0.0.1:{port}/ops") as database:
        with pytest.raises(DatabaseUnreachable, match=f"127.0.0.1:{port}/ops does not") as failed:
            await database.ready()

    assert failed.value.exit_code == ExitCode.UNREACHABLE
    assert "hidden7" not in f"{failed.value} {failed.value.hint} {failed.value.__cause__}"


async def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = time.monotonic()
        async with Database(f"postgresql://127.0.0.1:{port}/ops?connect_timeout=2") as database:
            with pytest.raises(DatabaseUnreachable):
                await database.ready()

    assert time.monotonic() - started < 20


async def test_a_database_that_is_missing_is_told_apart(upgraded_url: str) -> None:
    async with Database(altered(upgraded_url, dbname="nowhere")) as database:
        with pytest.raises(DatabaseUnreachable, match="there is no database"):
            await database.ready()


async def test_a_role_that_is_missing_is_a_refused_login(upgraded_url: str) -> None:
    async with Database(altered(upgraded_url, user="stranger")) as database:
        with pytest.raises(DatabaseUnreachable, match='refuses the login of "stranger"'):
            await database.ready()


async def test_a_server_older_than_14_is_refused(database: Database) -> None:
    with pytest.raises(ConfigError, match="version 13") as refused:
        database._require_server(130_021)

    database._require_server(140_000)
    assert refused.value.hint == "version 14 or later is needed"


async def test_a_database_without_our_tables_names_the_command_that_helps(empty_url: str) -> None:
    async with Database(empty_url) as database:
        with pytest.raises(DatabaseTooOld) as refused:
            await Inventory(database, new_id=str).load()

    assert refused.value.hint == "run `reconciler db upgrade`"


async def test_an_exception_undoes_what_was_written(database: Database) -> None:
    async def write_and_stumble() -> None:
        async with database.transaction() as connection:
            await connection.execute("CREATE TABLE t (x int)")
            raise LookupError

    with pytest.raises(LookupError):
        await write_and_stumble()

    async with database.transaction() as connection:
        found = await connection.execute("SELECT to_regclass('t')")
        assert await found.fetchone() == (None,)


async def test_the_sessions_speak_utc_and_look_only_into_public(database: Database) -> None:
    async with database.transaction() as connection:
        found = await connection.execute(
            "SELECT current_setting('timezone'), current_setting('search_path'), "
            "current_setting('statement_timeout'), current_setting('application_name')"
        )
        assert await found.fetchone() == ("UTC", "public", "30s", "reconciler")


async def test_no_more_connections_than_allowed_are_open(upgraded_url: str) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'crowd'"

    async def busy(database: Database) -> int:
        async with database.transaction() as connection:
            await connection.execute("SELECT pg_sleep(0.02)")
            found = await (await connection.execute(count)).fetchone()
            assert found is not None
            return int(found[0])

    async with Database(upgraded_url, application_name="crowd", pool_size=3) as database:
        seen = await asyncio.gather(*(busy(database) for _ in range(20)))

    assert max(seen) == 3


async def test_a_slow_statement_is_a_timeout(upgraded_url: str) -> None:
    async with Database(upgraded_url, statement_timeout=0.05) as database:
        with pytest.raises(DeadlineExceeded):
            await database.execute(b"SELECT pg_sleep(5)", {})


async def test_a_cancelled_call_leaves_the_database_usable(database: Database) -> None:
    for call in range(10):
        slow = asyncio.create_task(database.execute(b"SELECT pg_sleep(20)", {}))
        await asyncio.sleep(0.02 * call)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow

    assert await database.execute(b"SELECT 1", {}) == [(1,)]


async def test_a_server_that_freezes_is_given_up(proxy: BreakingProxy, far_url: str) -> None:
    async with Database(far_url, statement_timeout=0.3) as database:
        await database.ready()
        proxy.frozen = True
        started = time.monotonic()
        with pytest.raises(DatabaseUnreachable):
            await database.ready()
        with pytest.raises(DatabaseUnreachable):
            await database.execute(b"SELECT 1", {})

    assert time.monotonic() - started < 10


async def test_a_server_that_freezes_before_a_rollback_is_given_up(
    proxy: BreakingProxy, far_url: str
) -> None:
    async with Database(far_url, statement_timeout=0.3) as database:

        async def stumble() -> None:
            async with database.transaction() as connection:
                await connection.execute("SELECT 1")
                proxy.frozen = True
                raise LookupError

        with pytest.raises(LookupError):
            await asyncio.wait_for(stumble(), 5)


async def test_a_table_that_somebody_locked_is_a_conflict(
    database: Database, upgraded_url: str
) -> None:
    async with (
        Database(upgraded_url, lock_timeout=0.05) as impatient,
        database.transaction() as first,
    ):
        await first.execute("LOCK TABLE reconciler.resources")
        with pytest.raises(ConflictError, match="holds a lock"):
            await Inventory(impatient, new_id=str).load()


async def test_after_a_restart_of_the_server_the_next_call_just_works(
    database: Database, upgraded_url: str
) -> None:
    await database.ready()

    with psycopg.connect(upgraded_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'reconciler' AND datname = current_database()"
        )

    await asyncio.sleep(0.1)
    await database.ready()


async def test_a_connection_that_breaks_before_the_commit_wrote_nothing(
    far: Database, proxy: BreakingProxy, database: Database
) -> None:
    async def write() -> None:
        async with far.transaction() as connection:
            await connection.execute("CREATE TABLE t (x int)")
            proxy.cut()
            await connection.execute("SELECT 1")

    with pytest.raises(DatabaseUnreachable, match="nothing was written") as failed:
        await write()

    assert not isinstance(failed.value, DatabaseLost)
    async with database.transaction() as connection:
        found = await connection.execute("SELECT to_regclass('t')")
        assert await found.fetchone() == (None,)


@pytest.mark.parametrize("lost", ["COMMIT", "WITH entry"])
async def test_a_lost_answer_is_an_unknown_outcome_that_a_rerun_finds(
    lost: str, far: Database, proxy: BreakingProxy, database: Database, new_id: Callable[[], str]
) -> None:
    from reconciler.store.operations import Operations
    from reconciler.store.writes import StepIntent

    await Operations(far).begin(id="op1", kind="apply", actor="me", host="here")
    inventory = Inventory(far, new_id=new_id)
    step = StepIntent(operation="op1", ordinal=1, address=ENTRY.address, action="create")
    proxy.lose = lost.encode()

    call = inventory.settle(ENTRY, now=NOW) if lost == "COMMIT" else inventory.intend(ENTRY, step)
    with pytest.raises(DatabaseLost) as failed:
        await call
    proxy.lose = None

    assert await Inventory(database, new_id=new_id).load() == {ENTRY.address: ENTRY}
    await inventory.settle(replace(ENTRY, object_id="wf1"), now=NOW)
    assert failed.value.exit_code == ExitCode.UNREACHABLE


def test_the_hot_path_loads_neither_sqlalchemy_nor_alembic() -> None:
    script = (
        "import sys, reconciler.store.inventory, reconciler.store.operations, "
        "reconciler.store.lock, reconciler.store.keys; "
        "print([m for m in ('sqlalchemy', 'alembic') if m in sys.modules])"
    )

    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert shown.stdout.strip() == "[]"
