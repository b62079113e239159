"""Runs the real command line in a folder of its own, and tells what it said and how it ended.

Two ways: a fresh interpreter for each command, as a user has it, or a fork of a process that has
imported everything (`tests.acceptance.forking`), which is the same but quicker.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.acceptance import forking

PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; an error when there is anything else."""
        return json.loads(self.out)

    @property
    def last(self) -> str:
        """The last line of stdout."""
        return self.out.rstrip("\n").rpartition("\n")[2]

    @property
    def said(self) -> str:
        """All of it, for messages of failed tests."""
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Running(Protocol):
    """A command that may still run."""

    pid: int

    def wait(self, seconds: float = PATIENCE) -> Done: ...

    def err_so_far(self) -> str: ...

    def out_so_far(self) -> str: ...


class Starter(Protocol):
    """A way to start commands."""

    def start(self, words: list[str], cwd: Path, env: Mapping[str, str]) -> Running: ...


@dataclass(slots=True)
class _Files:
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="command-")))

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def err(self) -> Path:
        return self.folder / "err"

    def done(self, code: int) -> Done:
        done = Done(code, _text(self.out), _text(self.err))
        for path in (self.out, self.err):
            path.unlink(missing_ok=True)
        self.folder.rmdir()
        return done


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


class _Process:
    """A command in an interpreter of its own."""

    def __init__(self, words: list[str], cwd: Path, env: Mapping[str, str]) -> None:
        self._files = _Files()
        with self._files.out.open("wb") as out, self._files.err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reconciler", *words],
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait(self, seconds: float = PATIENCE) -> Done:
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"it hangs: {self._files.done(-9).said}") from None
        return self._files.done(code)

    def err_so_far(self) -> str:
        return _text(self._files.err)

    def out_so_far(self) -> str:
        return _text(self._files.out)


class FreshInterpreter(Starter):
    """Starts each command in an interpreter of its own."""

    def start(self, words: list[str], cwd: Path, env: Mapping[str, str]) -> Running:
        return _Process(words, cwd, env)


class _Forked:
    """A command that was forked off."""

    def __init__(
        self, socket_path: str, words: list[str], cwd: Path, env: Mapping[str, str]
    ) -> None:
        self._files = _Files()
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(socket_path)
        self._stream = self._connection.makefile("rw", encoding="utf-8")
        request = {
            "words": words,
            "cwd": str(cwd),
            "env": dict(env),
            "out": str(self._files.out),
            "err": str(self._files.err),
        }
        self._stream.write(json.dumps(request) + "\n")
        self._stream.flush()
        self.pid = int(self._stream.readline())

    def wait(self, seconds: float = PATIENCE) -> Done:
        guard = threading.Timer(seconds, os.kill, (self.pid, signal.SIGKILL))
        guard.start()
        code = int(self._stream.readline())
        hung = not guard.is_alive()
        guard.cancel()
        self._stream.close()
        self._connection.close()
        done = self._files.done(code)
        assert not hung, f"it hangs: {done.said}"
        return done

    def err_so_far(self) -> str:
        return _text(self._files.err)

    def out_so_far(self) -> str:
        return _text(self._files.out)


class Forker(Starter):
    """Starts commands as forks of one warmed-up process."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path

    def start(self, words: list[str], cwd: Path, env: Mapping[str, str]) -> Running:
        return _Forked(self._path, words, cwd, env)


@contextmanager
def warmed_up() -> Iterator[Forker]:
    """Hold a process that commands are forked from."""
    with tempfile.TemporaryDirectory(prefix="forker-") as folder:
        path = f"{folder}/socket"
        root = Path(__file__).resolve().parents[2]
        with subprocess.Popen(
            [sys.executable, forking.__file__ or "", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            try:
                assert process.stdout.readline() == b"ready\n"
                yield Forker(path)
            finally:
                process.stdin.close()
                process.wait(10)


@dataclass(slots=True, kw_only=True)
class Shell:
    """A person at a prompt: a folder, an environment, commands."""

    folder: Path
    env: dict[str, str]
    starter: Starter

    def start(self, *words: str, **env: str) -> Running:
        """Start a command; *env* is set for it alone."""
        return self.starter.start(list(words), self.folder, {**self.env, **env})

    def run(self, *words: str, **env: str) -> Done:
        """Run a command to its end."""
        return self.start(*words, **env).wait()

    def ok(self, *words: str, **env: str) -> Done:
        """Run a command that must succeed."""
        done = self.run(*words, **env)
        assert done.code == 0, done.said
        return done

    def apply(self, *words: str, **env: str) -> Done:
        """Apply without being asked; must succeed."""
        return self.ok("apply", "-y", *words, **env)

    def plan(self, *words: str, **env: str) -> Done:
        """Plan; there may be changes or not."""
        done = self.run("plan", *words, **env)
        assert done.code in {0, 2, 5}, done.said
        return done

    def no_changes(self) -> None:
        """Demand that a plan is empty."""
        done = self.run("plan")
        assert (done.code, done.last) == (0, "No changes."), done.said

    def write(self, name: str, text: str) -> Path:
        """Write a file below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


def bare_environment(**more: str) -> dict[str, str]:
    """Give an environment in which nothing is configured but *more*."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "GIT_CEILING_DIRECTORIES": "/", **more}


def new_key() -> str:
    """Make an ENCRYPTION_KEY."""
    return secrets.token_hex(32)
