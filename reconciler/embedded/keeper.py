"""The keeper: a small process beside each server that ends it when nobody wants it any more.

Everybody who uses the server holds the *holders* pipe (a FIFO) open. The kernel closes it when
a holder ends, however it ends, so the end of the pipe means: the last one is gone. The keeper
then stops the server and goes too. It takes its task as one JSON object on stdin.

Not here: deciding what to start and when it is ready (`service`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.embedded import process
from reconciler.embedded.files import locked, write_private

ADOPTED_POLL_SECONDS = 0.5
STOP_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a keeper is told: the files of one server's folder and how to run and end it."""

    folder: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    log: str
    facts: dict[str, Any]
    stop: list[tuple[int, float]]
    group: bool
    adopt: int = 0

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops the server."""
        return Path(self.folder, "lock")

    @property
    def keeper_lock(self) -> Path:
        """Held by the keeper as long as it lives."""
        return Path(self.folder, "keeper.lock")

    @property
    def holders(self) -> Path:
        """The FIFO that every holder keeps open."""
        return Path(self.folder, "holders")

    @property
    def info(self) -> Path:
        """What a second process needs to find the server."""
        return Path(self.folder, "server.json")


class Keeper:
    """Runs one server for as long as somebody holds it."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.child: subprocess.Popen[bytes] | None = None
        self.pid = task.adopt
        self.born = process.birth(task.adopt) if task.adopt else None
        self.told_to_stop = False
        self.keeper_lock = -1

    def run(self) -> None:
        """Start (or adopt) the server, wait until it ends or is unwanted, and end it."""
        self.keeper_lock = os.open(self.task.keeper_lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.keeper_lock, fcntl.LOCK_EX)
        wake, wake_write = os.pipe()
        for end in (wake, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        holders = os.open(self.task.holders, os.O_RDONLY | os.O_NONBLOCK)
        self._start()
        sys.stdout.write("started\n")
        sys.stdout.close()
        self._watch(holders, wake)

    def _on_term(self, *_: object) -> None:
        self.told_to_stop = True

    def _start(self) -> None:
        if not self.task.adopt:
            with Path(self.task.log).open("ab") as log:
                self.child = subprocess.Popen(
                    self.task.argv,
                    env=self.task.env,
                    cwd=self.task.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self.pid = self.child.pid
            self.born = process.birth(self.pid)
        facts = {**self.task.facts, "pid": self.pid, "born": self.born, **_me()}
        write_private(self.task.info, json.dumps(facts))

    def _watch(self, holders: int, wake: int) -> None:
        # An adopted server is not our child: its end has to be looked for.
        timeout = None if self.child else ADOPTED_POLL_SECONDS
        while self._alive():
            ready, _, _ = select.select([holders, wake], [], [], timeout)
            if wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
            if self.told_to_stop:
                with locked(self.task.lock):
                    self._end()
                return
            if holders in ready and not _has_writers(holders):
                with locked(self.task.lock):
                    # Somebody may have come while we waited for the lock.
                    if not _has_writers(holders):
                        self._end()
                        return
        if self.task.group and self.born is not None:
            process.send(self.pid, signal.SIGKILL, group=True)

    def _alive(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        return process.is_alive(self.pid, self.born)

    def _end(self) -> None:
        for number, seconds in self.task.stop:
            if not self._alive():
                break
            process.send(self.pid, number, group=self.task.group)
            deadline = time.monotonic() + seconds
            while self._alive() and time.monotonic() < deadline:
                time.sleep(STOP_POLL_SECONDS)
        if self.task.group:
            # The leader is gone; what it left in its group goes too.
            process.send(self.pid, signal.SIGKILL, group=True)
        # Given up while the start lock is still ours: who starts next must not take us for alive.
        os.close(self.keeper_lock)


def _me() -> dict[str, Any]:
    return {"keeper": os.getpid(), "keeper_born": process.birth(os.getpid())}


def _has_writers(holders: int) -> bool:
    try:
        return os.read(holders, 4096) != b""
    except BlockingIOError:
        return True


def main() -> None:
    """Run a keeper for the task on stdin."""
    task = json.loads(sys.stdin.readline())
    task["stop"] = [(number, seconds) for number, seconds in task["stop"]]
    Keeper(Task(**task)).run()
