"""The embedded PostgreSQL, for real: shared, private, and gone when its last user is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from reconciler.embedded import process
from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.unprivileged import as_allowed_user
from reconciler.errors import ConfigError, DatabaseUnreachable
from reconciler.store.admin import create_database

pytestmark = pytest.mark.postgres

HOLD = """
import pathlib, sys
from reconciler.embedded.postgres import EmbeddedPostgres
with EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False) as server:
    print(server.status()["pid"], flush=True)
    sys.stdin.read()
"""


@contextmanager
def _another_process(state: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Hold the server of *state* in a second process; yield it and the server's pid."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        try:
            yield holder, int(holder.stdout.readline())
        finally:
            holder.kill()


def _wait_until_gone(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while process.birth(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    return process.birth(pid) is None


def _pid(server: EmbeddedPostgres) -> int:
    facts = server.status()
    assert facts is not None
    return int(facts["pid"])


def _scalar(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_each_test_gets_an_empty_database(postgres_url: str) -> None:
    assert 0 == _scalar(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def test_a_database_is_made_once_and_then_left_alone(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        create_database(server.url(), "shop")
        with psycopg.connect(server.url("shop")) as connection:
            connection.execute("CREATE TABLE kept ()")
        create_database(server.url(), "shop")
        query = "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'"
        assert 1 == _scalar(server.url("shop"), query)


def test_a_database_cannot_be_made_on_a_server_that_is_away(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        url = server.url()
    with pytest.raises(DatabaseUnreachable):
        create_database(url, "shop")


def test_data_password_and_port_survive_a_restart(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        first = server.url()
        create_database(first, "shop")
    with EmbeddedPostgres(tmp_path) as server:
        assert first == server.url()
        assert "shop" == _scalar(server.url("shop"), "SELECT current_database()")


def test_it_is_durable_unless_told_otherwise(tmp_path: Path) -> None:
    query = "SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN"
    query += " ('fsync', 'synchronous_commit', 'full_page_writes')"
    with EmbeddedPostgres(tmp_path) as server:
        assert "on on on" == _scalar(server.url(), query)
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        assert "off off off" == _scalar(server.url(), query)


def test_nobody_gets_in_without_the_password_or_past_the_loopback(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        password = server.password()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url().replace(password, "wrong"))
        assert "127.0.0.1" == _scalar(server.url(), "SHOW listen_addresses")
        assert "" == _scalar(server.url(), "SHOW unix_socket_directories")
        assert "scram-sha-256" == _scalar(
            server.url(), "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
        )
    assert 0o600 == (tmp_path / "postgres" / "password").stat().st_mode & 0o777
    assert 0o700 == (tmp_path / "postgres").stat().st_mode & 0o777


def test_the_folders_above_the_data_keep_their_modes(tmp_path: Path) -> None:
    state = tmp_path / "private" / "state"
    state.parent.mkdir(mode=0o700)
    before = [folder.stat().st_mode for folder in state.parents]
    with EmbeddedPostgres(state, durable=False) as server:
        assert 1 == _scalar(server.url(), "SELECT 1")
    assert before == [folder.stat().st_mode for folder in state.parents]


def test_two_processes_share_one_server_and_the_last_one_ends_it(tmp_path: Path) -> None:
    mine = EmbeddedPostgres(tmp_path, durable=False).start()
    with _another_process(tmp_path) as (other, pid):
        assert _pid(mine) == pid
        mine.stop()
        assert process.birth(pid) is not None
        other.communicate()
        assert process.birth(pid) is None
    assert mine.status() is None


def test_a_killed_process_leaves_nothing_behind(tmp_path: Path) -> None:
    with _another_process(tmp_path) as (other, pid):
        other.kill()
        assert _wait_until_gone(pid)
    assert [] == process.working_in(tmp_path / "postgres" / "data")


def test_a_killed_process_does_not_take_the_server_from_the_others(tmp_path: Path) -> None:
    with _another_process(tmp_path) as (other, pid):
        with EmbeddedPostgres(tmp_path, durable=False) as mine:
            other.kill()
            other.wait()
            time.sleep(0.3)
            assert pid == _pid(mine)
            assert 1 == _scalar(mine.url(), "SELECT 1")
        assert process.birth(pid) is None


def test_a_server_without_keeper_is_taken_over(tmp_path: Path) -> None:
    first = EmbeddedPostgres(tmp_path, durable=False).start()
    facts = first.status()
    assert facts is not None
    os.kill(facts["keeper"], signal.SIGKILL)
    assert _wait_until_gone(facts["keeper"])
    first.stop()
    assert process.is_alive(facts["pid"], facts["born"])
    with EmbeddedPostgres(tmp_path, durable=False) as second:
        assert facts["pid"] == _pid(second)
        assert 1 == _scalar(second.url(), "SELECT 1")
    assert process.birth(facts["pid"]) is None


def test_a_killed_server_is_started_again(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as first:
        pid = _pid(first)
        os.kill(pid, signal.SIGKILL)
        assert _wait_until_gone(pid)
        assert first.status() is None
    with EmbeddedPostgres(tmp_path, durable=False) as second:
        assert 1 == _scalar(second.url(), "SELECT 1")


def test_a_pid_file_with_the_pid_of_somebody_else_is_no_obstacle(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False):
        pass
    pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n")
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        assert 1 == _scalar(server.url(), "SELECT 1")


def test_an_interrupted_initdb_is_done_again(tmp_path: Path) -> None:
    draft = tmp_path / "postgres" / "data.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("16\n")
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        assert 1 == _scalar(server.url(), "SELECT 1")
    assert not draft.exists()


def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        facts = server.status()
    assert facts is not None
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", facts["port"]))
        squatter.listen()
        with EmbeddedPostgres(tmp_path, durable=False) as server:
            after = server.status()
            assert after is not None
            assert facts["port"] != after["port"]
            assert 1 == _scalar(server.url(), "SELECT 1")


def test_a_start_that_fails_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        pass
    with (tmp_path / "postgres" / "data" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseUnreachable) as caught:
        server.start()
    assert "PostgreSQL ended while it was starting" == str(caught.value)
    assert 'unrecognized configuration parameter "no_such_setting"' in str(caught.value.hint)
    assert server.status() is None


def test_a_folder_with_other_things_is_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no PostgreSQL data"):
        EmbeddedPostgres(tmp_path).start()
    assert ["thesis.txt"] == [entry.name for entry in data.iterdir()]


def test_a_state_folder_that_is_a_file_is_a_configuration_error(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        EmbeddedPostgres(state).start()


def test_an_interrupt_during_the_start_ends_what_was_started(tmp_path: Path) -> None:
    def interrupt(message: str, _fraction: float | None) -> None:
        if message == "starting PostgreSQL":
            raise KeyboardInterrupt

    server = EmbeddedPostgres(tmp_path, durable=False, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert server.status() is None
    assert [] == process.working_in(tmp_path / "postgres" / "data")


def test_another_user_than_root_runs_it_too(tmp_path: Path) -> None:
    # As root the script runs as who owns the folder; as another user simply so.
    if os.geteuid() == 0:
        os.chown(tmp_path, 65534, 65534)
    script = HOLD.replace("sys.stdin.read()", "import os; print(os.geteuid())")
    command = as_allowed_user([sys.executable, "-c", script, str(tmp_path / "state")], tmp_path)
    answer = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert tmp_path.stat().st_uid == int(answer.stdout.split()[1])
    assert 0 != tmp_path.stat().st_uid
