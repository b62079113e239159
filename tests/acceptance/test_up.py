"""`up`: one command starts PostgreSQL and n8n and applies the specs; it ends what it started, all of it.

The tests of this file share one folder and one order of events, as a person would meet them.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from reconciler.embedded import process
from tests.acceptance.repository import Repository
from tests.acceptance.shell import Done, FreshInterpreter, Running, Shell, bare_environment
from tests.acceptance.test_two_at_once import until
from tests.doubles.fake_n8n import FakeN8n

pytestmark = [pytest.mark.n8n, pytest.mark.postgres, pytest.mark.xdist_group("up")]
READY = "Ctrl-C stops what was started here"
START = 240.0  # seconds; a busy machine


def servers(folder: Path) -> dict[str, int]:
    """The processes that belong to the servers below *folder*."""
    found: dict[str, int] = {}
    for name in ("postgres", "n8n"):
        file = folder / ".reconciler" / name / "server.json"
        facts = json.loads(file.read_text()) if file.is_file() else {}
        found |= {f"{name} {role}": int(facts[role]) for role in ("pid", "keeper") if role in facts}
    return found


def alive(pids: dict[str, int]) -> set[str]:
    return {name for name, pid in pids.items() if process.birth(pid) is not None}


def started(shell: Shell, *words: str) -> Running:
    """Start `up` and wait until it is ready."""
    running = shell.start("up", *words)
    deadline = time.monotonic() + START
    while READY not in running.out_so_far():
        assert process.birth(running.pid) is not None, running.wait().said
        assert time.monotonic() < deadline, running.err_so_far()
        time.sleep(0.1)
    return running


def interrupt(running: Running) -> Done:
    os.kill(running.pid, signal.SIGINT)
    return running.wait()


@contextmanager
def up(shell: Shell) -> Iterator[Running]:
    """Hold a running `up`, which is ended in any case."""
    running = started(shell)
    try:
        yield running
    finally:
        if process.birth(running.pid) is not None:
            os.kill(running.pid, signal.SIGKILL)
            running.wait()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A folder with an organization, and nothing configured."""
    folder = tmp_path_factory.mktemp("up")
    repository = Repository(folder / "specs", "acme").organization()
    repository.automation("greet", says="hello").credential("door", "A_SECRET")
    return Shell(folder=folder, env=bare_environment(), starter=FreshInterpreter())


def test_it_starts_applies_and_ends_what_it_started_and_the_state_survives(shell: Shell) -> None:
    with up(shell) as running:
        said = running.out_so_far()
        first = servers(shell.folder)
        assert "Apply: 3 applied, 0 failed, 0 not attempted." in said
        assert 4 == len(alive(first))

        _a_second_shell_works(shell)
        _a_second_up_is_refused(shell, running)
        _secrets_are_private(shell.folder / ".reconciler")
        done = interrupt(running)

    assert 0 == done.code, done.said
    _no_secret_was_said(shell.folder / ".reconciler", done)
    assert set() == alive(first)
    assert 78 == shell.run("plan").code, "nothing is configured any more"

    with up(shell) as running:
        assert "No changes." in running.out_so_far(), "what was applied is still there"
        second = servers(shell.folder)
        shell.no_changes()
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        until(lambda: not alive(second), 60)

    with up(shell) as running:
        assert "No changes." in running.out_so_far()
        shell.no_changes()
        third = servers(shell.folder)
        assert 0 == interrupt(running).code
    assert set() == alive(third)


def _a_second_shell_works(shell: Shell) -> None:
    shell.no_changes()
    Repository(shell.folder / "specs", "acme").automation("greet", says="good morning")
    planned = shell.run("plan")
    assert (2, "Plan: 0 to create, 1 to update, 0 to remove, 0 blocked.") == (
        planned.code,
        planned.last,
    )
    shell.apply()
    shell.no_changes()
    assert "Healthy" in shell.ok("status").out
    settings = shell.ok("doctor", "-o", "json").document["settings"]
    assert "reconciler up" == settings["n8n_url"]["from"]


def _a_second_up_is_refused(shell: Shell, running: Running) -> None:
    done = shell.run("up")
    assert 6 == done.code, done.said
    assert f"process {running.pid}" in done.err
    assert 4 == len(alive(servers(shell.folder)))
    shell.no_changes()


def _no_secret_was_said(state: Path, done: Done) -> None:
    files = ("encryption.key", "n8n/api-key", "n8n/encryption-key", "postgres/password")
    secrets = {(state / name).read_text(encoding="utf-8").strip() for name in files}
    standins = (state / "dev.env").read_text(encoding="utf-8").splitlines()
    secrets |= {line.partition("=")[2] for line in standins if "=" in line}
    assert len(secrets) > len(files)
    assert set() == {secret for secret in secrets if secret in done.out + done.err}


def _secrets_are_private(state: Path) -> None:
    for name in ("encryption.key", "dev.env", "up.json", "n8n/api-key", "postgres/password"):
        assert 0o600 == (state / name).stat().st_mode & 0o777, name


def test_wrong_specs_leave_the_servers_running(tmp_path: Path, fake_url: str) -> None:
    """A person sees what is wrong, mends it, and applies in another shell."""
    env = bare_environment(N8N_URL=fake_url, N8N_API_KEY="fake-api-key")
    shell = Shell(folder=tmp_path, env=env, starter=FreshInterpreter())
    repository = Repository(tmp_path / "specs", "acme").organization()
    repository.automation("greet", tidle="misspelt")
    with up(shell) as running:
        pids = servers(tmp_path)
        assert "tidle" in running.err_so_far()
        assert "were not applied" in running.err_so_far()
        assert {"postgres pid", "postgres keeper"} == alive(pids)
        repository.automation("greet")
        shell.apply()
        shell.no_changes()
        done = interrupt(running)
    assert 0 == done.code, done.said
    assert set() == alive(pids)


def test_servers_that_are_given_are_used_and_not_ended(
    tmp_path: Path, postgres_url: str, fake: FakeN8n, fake_url: str
) -> None:
    env = bare_environment(DATABASE_URL=postgres_url, N8N_URL=fake_url, N8N_API_KEY=fake.api_key)
    shell = Shell(folder=tmp_path, env=env, starter=FreshInterpreter())
    Repository(tmp_path / "specs", "acme").organization().automation("greet")

    done = shell.ok("up", "--once")

    assert "Apply: 2 applied" in done.out
    assert {} == servers(tmp_path)
    assert 1 == len(fake.state.workflows)
    with psycopg.connect(postgres_url) as connection:
        assert [("Acme",)] == connection.execute("SELECT name FROM organization").fetchall()


def test_without_a_daemon_it_says_so_and_names_no_address_of_one(
    tmp_path: Path, postgres_url: str, fake: FakeN8n, fake_url: str
) -> None:
    env = bare_environment(DATABASE_URL=postgres_url, N8N_URL=fake_url, N8N_API_KEY=fake.api_key)
    shell = Shell(folder=tmp_path, env=env, starter=FreshInterpreter())
    Repository(tmp_path / "specs", "acme").organization().automation("greet")

    running = shell.start("up", "--no-daemon")
    until(lambda: "Ctrl-C stops" in running.out_so_far(), 60)
    done = interrupt(running)

    assert 0 == done.code, done.said
    assert "`reconciler daemon` starts one" in done.out
    assert "API" not in done.out


def test_ctrl_c_while_it_starts_leaves_nothing_behind(shell: Shell) -> None:
    running = shell.start("up")
    until(lambda: "postgres pid" in servers(shell.folder) and alive(servers(shell.folder)), 60)
    time.sleep(0.5)

    done = interrupt(running)

    assert 130 == done.code, done.said
    assert "Traceback" not in done.err
    until(lambda: not alive(servers(shell.folder)), 60)
