"""Small shared files, secrets and process identity."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.embedded import process
from reconciler.embedded.files import (
    ensure_secret,
    is_locked,
    last_lines,
    locked,
    read_json,
    usable,
    write_private,
)
from reconciler.embedded.keys import ensure_key_file
from reconciler.embedded.n8n_server import _database_settings
from reconciler.embedded.node import check_version, find_node
from reconciler.embedded.postgres import BIN_VARIABLE, find_binaries
from reconciler.embedded.running import read_running
from reconciler.embedded.service import LOOPBACK, free_port, is_free, remembered_port, steady_port
from reconciler.embedded.stack import Stack, with_database
from reconciler.errors import ConfigError


def test_a_private_file_is_private_and_leaves_no_draft(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "text")
    assert "text" == (tmp_path / "secret").read_text()
    assert 0o600 == (tmp_path / "secret").stat().st_mode & 0o777
    assert ["secret"] == [entry.name for entry in tmp_path.iterdir()]


@pytest.mark.parametrize("text", ["", "{", "[1]", '"word"'])
def test_what_is_no_json_object_reads_as_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "note").write_text(text)
    assert read_json(tmp_path / "note") is None


def test_a_kept_secret_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "below" / "secret"
    assert "first" == ensure_secret(path, "first")
    assert "first" == ensure_secret(path, "second")
    assert 0o600 == path.stat().st_mode & 0o777


def test_an_empty_secret_file_is_filled(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    assert "word" == ensure_secret(tmp_path / "secret", "word")
    assert ["secret"] == [entry.name for entry in tmp_path.iterdir()]


def test_a_lock_is_seen_while_it_is_held(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock")
    with locked(tmp_path / "lock"):
        assert is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")


def test_the_last_lines_start_at_the_given_byte(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n" + "".join(f"line {n}\n" for n in range(40)))
    assert "line 38\nline 39" == last_lines(log, count=2)
    assert "line 0" == last_lines(log, since=4, count=40).splitlines()[0]
    assert "" == last_lines(tmp_path / "none")


def test_a_refusal_of_the_machine_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"), usable(tmp_path):
        (tmp_path / "none" / "file").write_text("")


def test_the_key_file_is_made_once_with_64_hex_digits(tmp_path: Path) -> None:
    key = ensure_key_file(tmp_path / "state" / "encryption.key")
    assert 64 == len(key) == len(bytes.fromhex(key)) * 2
    assert key == ensure_key_file(tmp_path / "state" / "encryption.key")
    assert 0o600 == (tmp_path / "state" / "encryption.key").stat().st_mode & 0o777


def test_a_key_file_with_something_else_stops_without_showing_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("hunter2")
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        ensure_key_file(path)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert "hunter2" == path.read_text()


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("ab" * 32)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others"):
        ensure_key_file(path)


def test_a_process_is_known_by_pid_and_birth() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        born = process.birth(child.pid)
        assert process.is_alive(child.pid, born)
        assert not process.is_alive(child.pid, f"{born}0")
        assert not process.is_alive(child.pid, None)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        # Now a zombie: ended, but not yet reaped.
        assert process.birth(child.pid) is None
    assert not process.is_alive(child.pid, born)


def test_a_free_port_can_be_bound() -> None:
    assert is_free(free_port())


def test_node_and_npm_are_found_in_the_wheel() -> None:
    node = find_node()
    assert node.binary.is_file()
    assert node.npm == [str(node.binary), str(node.npm_script)]


def test_another_version_of_node_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.0.0\n")
    old.chmod(0o755)
    with pytest.raises(ConfigError, match=r"n8n needs Node 24, .* is v18\.0\.0"):
        check_version(old)
    with pytest.raises(ConfigError, match="does not run"):
        check_version(tmp_path / "none")


def test_the_binaries_of_postgres_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BIN_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=BIN_VARIABLE):
        find_binaries()
    (tmp_path / "postgres").touch()
    assert tmp_path == find_binaries()


def test_data_of_a_version_without_binaries_are_not_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(BIN_VARIABLE, raising=False)
    assert find_binaries("16") != find_binaries("18")
    with pytest.raises(ConfigError, match=r"no PostgreSQL 9\.6 binaries"):
        find_binaries("9.6")


def test_the_database_of_n8n_is_told_in_its_own_words() -> None:
    settings = _database_settings("postgresql://me:p%40ss@127.0.0.1:5433/n8n")
    assert {
        "DB_TYPE": "postgresdb",
        "DB_POSTGRESDB_HOST": "127.0.0.1",
        "DB_POSTGRESDB_PORT": "5433",
        "DB_POSTGRESDB_DATABASE": "n8n",
        "DB_POSTGRESDB_USER": "me",
        "DB_POSTGRESDB_PASSWORD": "p@ss",
    } == settings
    with pytest.raises(ConfigError):
        _database_settings("mysql://127.0.0.1/n8n")


def test_another_database_of_the_same_server_keeps_login_and_options() -> None:
    url = "postgresql://me:word@db:5432/ours?sslmode=require"
    assert "postgresql://me:word@db:5432/n8n?sslmode=require" == with_database(url, "n8n")


def test_the_note_of_a_killed_up_is_no_running_up(tmp_path: Path) -> None:
    assert read_running(tmp_path) is None
    (tmp_path / "up.json").write_text('{"pid": 1}')
    assert read_running(tmp_path) is None


def test_n8n_without_any_database_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n8n needs a PostgreSQL"):
        Stack(tmp_path, want_postgres=False, want_n8n=True)


def test_a_port_is_kept_and_taken_again_after_somebody_had_it(tmp_path: Path) -> None:
    note = tmp_path / "state" / "port.json"
    first = steady_port(note, free_port())

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((LOOPBACK, first))
        other.listen()
        assert steady_port(note, first) != first
    assert first == remembered_port(note) == steady_port(note, free_port())
