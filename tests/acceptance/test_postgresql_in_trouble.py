"""PostgreSQL is away, breaks or dies in the middle of an apply: told, and finished by the next one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.store.admin import create_database
from tests.acceptance.conftest import Stage
from tests.acceptance.instance import Instance
from tests.acceptance.records import inventory
from tests.acceptance.repository import Repository
from tests.acceptance.shell import Forker, Shell, bare_environment, new_key
from tests.acceptance.tandem import tandem
from tests.acceptance.test_two_at_once import many, slow, until
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.tcp_proxy import Plan, Strike

pytestmark = pytest.mark.postgres


def test_nobody_listens(on_fake: Stage) -> None:
    on_fake.repository.organization()

    done = on_fake.shell.run("plan", DATABASE_URL="postgresql://me:secret@127.0.0.1:9/none")

    assert 7 == done.code, done.said
    assert "127.0.0.1:9" in done.err
    assert "secret" not in done.err
    assert "Traceback" not in done.err


def test_the_password_is_wrong(on_fake: Stage) -> None:
    on_fake.repository.organization()
    parts = urlsplit(on_fake.database_url)
    url = on_fake.database_url.replace(parts.password or "", "wrong-password")

    done = on_fake.shell.run("plan", DATABASE_URL=url)

    assert 7 == done.code, done.said
    assert "wrong-password" not in done.err


def test_the_database_is_not_upgraded(on_fake: Stage, postgres_url: str) -> None:
    on_fake.repository.organization()

    done = on_fake.shell.run("plan", DATABASE_URL=postgres_url)

    assert 7 == done.code, done.said
    assert "reconciler db upgrade" in done.err


def test_the_database_is_newer_than_the_program(on_fake: Stage) -> None:
    on_fake.repository.organization()
    on_fake.rows("UPDATE reconciler.schema_version SET version_num = '9999'")

    done = on_fake.shell.run("plan")

    assert 7 == done.code, done.said
    assert "newer" in done.err


@pytest.mark.parametrize("strike", [Strike.CUT_BEFORE, Strike.CUT_AFTER], ids=lambda s: s.name)
def test_the_connection_breaks_anywhere_in_an_apply(
    on_fake: Stage, fake: FakeN8n, strike: Strike, subtests_seen: list[int]
) -> None:
    """Every seventh send; all of them are `test_killed_at_every_send`."""
    on_fake.repository.organization().automation("greet").credential("door", "A_SECRET")
    url = on_fake.database_url
    with tandem(url, on_fake.shell.env["N8N_URL"]) as both:
        through = both.database_url(url)
        for at in range(3, 200, 7):
            on_fake.repository.automation("greet", says=f"number {at}")
            plan = Plan(at=at, strike=strike)
            both.counter.arm(plan)
            done = on_fake.shell.run("apply", "-y", DATABASE_URL=through)
            both.counter.arm(None)
            assert "Traceback" not in done.err, done.said
            if not plan.struck.is_set():
                assert 0 == done.code, done.said
                break
            assert done.code in {0, 4, 7}, f"send {at}: {done.said}"
            subtests_seen.append(at)
            on_fake.shell.apply("--lock-timeout", "20")
            assert f"number {at}" in str(on_fake.n8n.workflow("acme greet")["activeVersion"])
            on_fake.shell.no_changes()
    assert len(subtests_seen) >= 3
    assert 1 == len(fake.state.workflows)


@pytest.fixture
def subtests_seen() -> list[int]:
    """The points that were struck."""
    return []


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of this test alone, so that it may be killed."""
    with EmbeddedPostgres(tmp_path / "server") as server:
        create_database(server.url(), "ours")
        yield server


def test_the_server_is_killed_in_the_middle(
    tmp_path: Path, own_server: EmbeddedPostgres, fake: FakeN8n, fake_url: str, forker: Forker
) -> None:
    env = bare_environment(
        DATABASE_URL=own_server.url("ours"),
        N8N_URL=fake_url,
        N8N_API_KEY=fake.api_key,
        ENCRYPTION_KEY=new_key(),
    )
    shell = Shell(folder=tmp_path, env=env, starter=forker)
    n8n = Instance(fake_url, fake.api_key)
    stage = Stage(shell, Repository(tmp_path / "specs", "acme"), n8n, env["DATABASE_URL"])
    shell.ok("db", "upgrade")
    names = many(stage)
    slow(fake)

    running = shell.start("apply", "-y", "--concurrency", "1")
    until(lambda: len(fake.state.workflows) >= 3)
    facts = own_server.status()
    assert facts is not None
    os.kill(int(facts["pid"]), signal.SIGKILL)
    done = running.wait()
    own_server.stop()
    own_server.start()

    assert done.code in {4, 7}, done.said
    assert "Traceback" not in done.err
    shell.env["DATABASE_URL"] = own_server.url("ours")
    shell.apply("--lock-timeout", "20")
    assert names == sorted(w.name for w in fake.state.workflows.values())
    ids = {entry[1] for entry in inventory(own_server.url("ours")).values()}
    assert fake.state.workflows.keys() <= ids
    shell.no_changes()
    n8n.close()
