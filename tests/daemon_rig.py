"""A real `reconciler daemon` in a process of its own, against any PostgreSQL and n8n."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds; a busy machine
KEY = hashlib.sha256(b"daemon tests").hexdigest()


@dataclass(slots=True)
class Daemon:
    """A running daemon."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""

    def lines(self) -> list[dict[str, Any]]:
        """Give what it logged; each line is one JSON object."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines()]

    def said(self, event: str) -> bool:
        """Whether it logged *event*."""
        return any(line["event"] == event for line in self.lines())

    def get(self, path: str) -> tuple[int, str]:
        """Ask for *path*; the status and the text."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait until it has ended; its exit code."""
        return self.process.wait(PATIENCE)


def until(condition: Callable[[], bool], what: str = "it") -> None:
    """Wait for *condition*."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


@contextmanager
def started(folder: Path, environ: Mapping[str, str], *words: str) -> Iterator[Daemon]:
    """Start a daemon with *environ* and options; kill it at the end if it still runs."""
    log = folder / "daemon.log"
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "daemon", "--port", "0", *words],
            cwd=folder,
            env={**bare, "ENCRYPTION_KEY": KEY, **environ},
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        daemon = Daemon(process, log)
        try:
            yield daemon
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@contextmanager
def listening(folder: Path, environ: Mapping[str, str], *words: str) -> Iterator[Daemon]:
    """Start a daemon and wait until it listens."""
    with started(folder, environ, *words) as daemon:
        deadline = time.monotonic() + PATIENCE
        while not daemon.url:
            assert daemon.process.poll() is None, daemon.log.read_text("utf-8")
            assert time.monotonic() < deadline, daemon.log.read_text("utf-8")
            text = daemon.log.read_text("utf-8")
            whole = text[: text.rfind("\n") + 1].splitlines()
            urls = [json.loads(line).get("url") for line in whole if '"listening"' in line]
            daemon.url = urls[0] if urls else ""
            time.sleep(0.05)
        yield daemon
