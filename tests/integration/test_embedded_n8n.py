"""The embedded n8n, for real: shared, private, with an owner and a key that heal themselves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from reconciler.embedded import process
from reconciler.embedded.n8n_install import Installer
from reconciler.embedded.n8n_owner import ensure_api_key, owner
from reconciler.embedded.n8n_server import EmbeddedN8n
from reconciler.embedded.running import read_running
from reconciler.embedded.stack import Stack
from reconciler.errors import ConfigError, ConflictError, N8nUnreachable
from tests import servers
from tests.servers import RealN8n

pytestmark = [pytest.mark.n8n, pytest.mark.postgres, pytest.mark.slow]

UP = """
import pathlib, sys
from reconciler.embedded.stack import Stack
with Stack(pathlib.Path(sys.argv[1]), want_postgres=True, want_n8n=True):
    print("up", flush=True)
    sys.stdin.read()
"""


def _status(url: str, key: str) -> int:
    path = "/api/v1/workflows?limit=1"
    return httpx.get(url + path, headers={"X-N8N-API-KEY": key}, timeout=30).status_code


def _servers(state: Path) -> dict[str, dict[str, object]]:
    return {
        name: json.loads((state / name / "server.json").read_text()) for name in ("postgres", "n8n")
    }


def _all_gone(facts: dict[str, dict[str, object]], seconds: float = 30) -> bool:
    pids = [int(str(server[role])) for server in facts.values() for role in ("pid", "keeper")]
    deadline = time.monotonic() + seconds
    while any(process.birth(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(process.birth(pid) for pid in pids)


def _renew(stack: Stack) -> str:
    """Ask for a key again, and let the tests that come after in any order know it."""
    stack.n8n_api_key = ensure_api_key(stack.n8n_url, stack.state / "n8n")
    stack._note()
    return stack.n8n_api_key


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL and n8n of this module alone, so that their keys may be broken."""
    state = tmp_path_factory.mktemp("stack")
    with Stack(state, want_postgres=True, want_n8n=True) as running:
        yield running


class TestSharedByTheRun:
    """The n8n that all tests share."""

    def test_the_key_opens_the_api_and_another_does_not(self, real_n8n: RealN8n) -> None:
        assert 200 == _status(real_n8n.url, real_n8n.api_key)
        assert 401 == _status(real_n8n.url, real_n8n.api_key + "x")

    def test_an_accepted_key_is_kept(self, real_n8n: RealN8n) -> None:
        assert real_n8n.api_key == ensure_api_key(real_n8n.url, servers.state() / "n8n")


@pytest.mark.xdist_group("embedded stack")
class TestStack:
    """What `up` runs."""

    def test_secrets_are_in_private_files(self, stack: Stack) -> None:
        names = ("n8n/api-key", "n8n/owner.json", "n8n/encryption-key", "up.json")
        for name in (*names, "postgres/password"):
            assert 0o600 == (stack.state / name).stat().st_mode & 0o777

    def test_n8n_has_a_database_of_its_own(self, stack: Stack) -> None:
        with psycopg.connect(stack.database_url) as connection:
            names = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            ours = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            assert (0,) == ours.fetchone()
        assert {"n8n", "reconciler"} <= names

    def test_n8n_listens_on_the_loopback_only_and_calls_nobody(self, stack: Stack) -> None:
        settings = httpx.get(stack.n8n_url + "/rest/settings", timeout=30).json()["data"]
        assert stack.n8n_url.startswith("http://127.0.0.1:")
        assert not settings["userManagement"]["showSetupOnFirstLoad"]
        log = (stack.state / "n8n" / "server.log").read_text()
        assert [] == re.findall(r"getaddrinfo \w+ \S+", log)

    def test_the_owner_can_log_in_to_the_editor(self, stack: Stack) -> None:
        known = owner(stack.state / "n8n")
        body = {"emailOrLdapLoginId": known["email"], "password": known["password"]}
        answer = httpx.post(stack.n8n_url + "/rest/login", json=body, timeout=30)
        assert (200, "global:owner") == (answer.status_code, answer.json()["data"]["role"])

    def test_a_second_shell_finds_the_servers(self, stack: Stack) -> None:
        running = read_running(stack.state)
        assert running is not None
        assert os.getpid() == running.pid
        assert stack.database_url == running.database_url
        assert 200 == _status(running.n8n_url, running.n8n_api_key)

    def test_a_second_up_is_refused_and_harms_nothing(self, stack: Stack) -> None:
        with (
            pytest.raises(ConflictError) as caught,
            Stack(stack.state, want_postgres=True, want_n8n=True),
        ):
            pass
        assert f"process {os.getpid()} ({stack.n8n_url}) since 20" in str(caught.value)
        assert 200 == _status(stack.n8n_url, stack.n8n_api_key)
        assert read_running(stack.state) is not None

    def test_a_lost_key_is_replaced_and_the_old_one_ends(self, stack: Stack) -> None:
        folder = stack.state / "n8n"
        old = (folder / "api-key").read_text().strip()
        (folder / "api-key").unlink()
        new = _renew(stack)
        assert [200, 401] == [_status(stack.n8n_url, key) for key in (new, old)]
        assert new == (folder / "api-key").read_text().strip()

    def test_a_refused_key_is_replaced(self, stack: Stack) -> None:
        (stack.state / "n8n" / "api-key").write_text("no such key")
        assert 200 == _status(stack.n8n_url, _renew(stack))

    def test_an_n8n_of_another_owner_is_said_to_be_so(self, stack: Stack, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="has an owner whose password is not"):
            ensure_api_key(stack.n8n_url, tmp_path)
        assert not (tmp_path / "api-key").exists()

    def test_another_setup_is_not_mistaken_for_the_running_one(self, stack: Stack) -> None:
        url = "postgresql://somebody:else@127.0.0.1:1/n8n"
        with pytest.raises(ConflictError, match="already running"):
            EmbeddedN8n(stack.state, url, Installer().ensure()).start()


def test_a_killed_up_leaves_nothing_behind_and_the_next_one_starts(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", UP, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as up:
        assert up.stdout is not None
        assert "up\n" == up.stdout.readline()
        assert read_running(tmp_path) is not None
        facts = _servers(tmp_path)
        up.kill()
        up.wait()
        assert read_running(tmp_path) is None
        assert (tmp_path / "up.json").exists()
        assert _all_gone(facts)
    with Stack(tmp_path, want_postgres=True, want_n8n=True) as again:
        assert 200 == _status(again.n8n_url, again.n8n_api_key)
        facts = _servers(tmp_path)
    assert _all_gone(facts, 0)
    assert not (tmp_path / "up.json").exists()


def test_sigterm_while_starting_ends_what_was_started(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", UP, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as up:
        while not (tmp_path / "n8n" / "server.json").exists():
            assert up.poll() is None
            time.sleep(0.02)
        facts = _servers(tmp_path)
        up.send_signal(signal.SIGTERM)
        output, _ = up.communicate(timeout=60)
    assert "" == output
    assert _all_gone(facts, 0)
    assert not (tmp_path / "up.json").exists()


def test_an_n8n_that_cannot_start_shows_the_end_of_its_log(
    tmp_path: Path, postgres_url: str
) -> None:
    url = postgres_url.replace("postgresql://reconciler:", "postgresql://reconciler:wrong")
    with pytest.raises(N8nUnreachable) as caught:
        EmbeddedN8n(tmp_path, url, Installer().ensure()).start()
    assert re.fullmatch(r"n8n \S+ ended while it was starting", str(caught.value))
    assert "password authentication failed" in str(caught.value.hint)
