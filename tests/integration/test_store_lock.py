"""One writer at a time, and everybody can see who it is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest

from reconciler.errors import DatabaseLost, ExitCode, LockHeld
from reconciler.store import migrate
from reconciler.store.database import Database
from reconciler.store.lock import Holder, WriterLock, holder

HOLD = """
import asyncio, sys
from reconciler.store.database import Database
from reconciler.store.lock import WriterLock

async def main():
    async with Database(sys.argv[1]) as database:
        lock = WriterLock(database, actor="eve", host="far", process_id=77, operation="apply")
        async with lock.acquire():
            print("held", flush=True)
            await asyncio.sleep(60)

asyncio.run(main())
"""


def lock_of(database: Database, actor: str = "ada", operation: str = "apply") -> WriterLock:
    return WriterLock(database, actor=actor, host="build-7", process_id=4242, operation=operation)


async def test_the_holder_is_shown_to_whoever_comes_second(database: Database) -> None:
    async with lock_of(database).acquire():
        with pytest.raises(LockHeld) as refused:
            async with lock_of(database, "bob").acquire():
                raise AssertionError

    message = refused.value.message
    assert message.startswith("the lock is held by ada on build-7 (pid 4242), running apply since ")
    assert " UTC, 0 s ago" in message
    assert refused.value.exit_code == ExitCode.CONFLICT


async def test_the_lock_is_free_again_at_once(database: Database) -> None:
    for _ in range(3):
        async with lock_of(database).acquire():
            found = await holder(database)
            assert found is not None
            assert (found.actor, found.operation) == ("ada", "apply")

    assert await holder(database) is None


async def test_an_exception_under_the_lock_frees_it(database: Database) -> None:
    with pytest.raises(LookupError):
        async with lock_of(database).acquire():
            raise LookupError

    assert await holder(database) is None


async def test_whoever_waits_learns_for_whom_and_gets_the_lock_then(database: Database) -> None:
    heard: list[Holder] = []
    order: list[str] = []
    waits = asyncio.Event()

    def hear(found: Holder) -> None:
        heard.append(found)
        waits.set()

    async def wait() -> None:
        async with lock_of(database, "bob").acquire(10.0, hear):
            order.append("bob")

    async with lock_of(database).acquire():
        waiting = asyncio.create_task(wait())
        await waits.wait()
        order.append("ada")
    await waiting

    assert order == ["ada", "bob"]
    assert [found.actor for found in heard] == ["ada"]


async def test_waiting_ends_after_the_time_that_was_given(database: Database) -> None:
    started = time.monotonic()
    async with lock_of(database).acquire():
        with pytest.raises(LockHeld):
            async with lock_of(database, "bob").acquire(0.3):
                raise AssertionError

    assert 0.25 < time.monotonic() - started < 10


async def test_of_many_at_once_only_one_is_inside(database: Database) -> None:
    inside = 0
    most = 0

    async def work(number: int) -> None:
        nonlocal inside, most
        async with lock_of(database, f"worker {number}").acquire(20.0):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(work(number) for number in range(10)))

    assert most == 1


async def test_a_killed_process_leaves_no_lock_behind(
    database: Database, upgraded_url: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, upgraded_url, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    found = await holder(database)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()

    async with lock_of(database).acquire(5.0):
        mine = await holder(database)

    assert found is not None
    assert mine is not None
    assert (found.actor, found.process_id) == ("eve", 77)
    assert mine.actor == "ada"


async def test_the_signature_of_a_dead_holder_is_never_shown_as_the_living_one(
    database: Database, upgraded_url: str
) -> None:
    async with lock_of(database, "ada").acquire():
        with psycopg.connect(upgraded_url, autocommit=True) as connection:
            connection.execute("UPDATE reconciler.locks SET backend_pid = 1")
        found = await holder(database)

    assert found is not None
    assert found.actor is None
    assert str(found) == f"reconciler (connection {found.backend_pid})"


async def test_a_lost_connection_is_noticed_without_asking(
    database: Database, upgraded_url: str
) -> None:
    async with lock_of(database).acquire() as held:
        assert held.still_held
        held.check()
        with psycopg.connect(upgraded_url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(backend_pid) FROM reconciler.locks")
        for _ in range(100):
            if not held.still_held:
                break
            await asyncio.sleep(0.01)

        assert not held.still_held
        with pytest.raises(DatabaseLost, match=r"lock .* was lost"):
            held.check()
    assert await holder(database) is None


async def test_the_lock_works_before_the_first_upgrade(empty_url: str) -> None:
    async with Database(empty_url, application_name="reconciler db upgrade") as database:
        async with lock_of(database).acquire():
            with pytest.raises(LockHeld, match=r"held by reconciler db upgrade \(connection \d+\)"):
                await migrate.upgrade(empty_url, timeout=0.05)

    assert await migrate.current(empty_url) is None


async def test_two_databases_of_one_server_have_two_locks(
    database: Database, empty_url: str
) -> None:
    async with (
        Database(empty_url) as other,
        lock_of(database).acquire(),
        lock_of(other).acquire(),
    ):
        assert await holder(other) is not None


async def test_a_holder_that_shows_that_it_works_keeps_the_lock(database: Database) -> None:
    async with lock_of(database).acquire(lease=0.8) as held:
        await asyncio.sleep(2)
        held.check()
        with pytest.raises(LockHeld):
            async with lock_of(database, "bob").acquire():
                raise AssertionError


async def test_a_holder_that_hangs_loses_the_lock_and_hears_of_it(database: Database) -> None:
    async with lock_of(database).acquire(lease=0.8) as held:
        time.sleep(1.5)  # the whole process, as after SIGSTOP
        async with lock_of(database, "bob").acquire(2.0):
            with pytest.raises(DatabaseLost):
                held.check()
