"""A daemon that only follows the specs, as tests start it, and what they wait for."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.acceptance.conftest import Stage
from tests.acceptance.shell import Done, Running

QUICK = {
    "RECONCILER_ROLES": "reconciler",
    "RECONCILER_PORT": "0",
    "RECONCILER_LOG_FORMAT": "json",
    "RECONCILER_POLL_INTERVAL": "0.5",
    "RECONCILER_DRIFT_INTERVAL": "1",
}
PATIENCE = 45.0


@dataclass(slots=True)
class Follower:
    """A running daemon."""

    running: Running

    def lines(self) -> list[dict[str, Any]]:
        """What it logged so far."""
        found = self.running.err_so_far().splitlines()
        return [json.loads(line) for line in found if line.startswith("{")]

    def said(self, event: str, **facts: object) -> list[dict[str, Any]]:
        """The lines of *event* with these facts."""
        return [
            line
            for line in self.lines()
            if line["event"] == event and facts.items() <= line.items()
        ]

    def stop(self) -> Done:
        """Ask it to end; it must do so in order."""
        os.kill(self.running.pid, signal.SIGTERM)
        done = self.running.wait(PATIENCE)
        assert done.code == 0, done.said
        return done

    def kill(self) -> None:
        os.kill(self.running.pid, signal.SIGKILL)
        self.running.wait(PATIENCE)


@contextmanager
def following(stage: Stage, **env: str) -> Iterator[Follower]:
    """Run a daemon of the reconcile role, and end it."""
    running = stage.shell.start("daemon", **{**QUICK, **env})
    follower = Follower(running)
    try:
        yield follower
    finally:
        try:
            os.kill(running.pid, signal.SIGTERM)
            running.wait(PATIENCE)
        except (ProcessLookupError, ValueError, OSError):
            pass  # the test ended it


def until(check: Callable[[], object], what: str = "it", seconds: float = PATIENCE) -> None:
    """Wait until *check* gives something true."""
    deadline = time.monotonic() + seconds
    while True:
        if check():
            return
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.1)


def said_by(stage: Stage, name: str) -> str | None:
    """What the published workflow *name* says; None when there is none."""
    full = f"{stage.organization} {name}"
    found = [w for w in stage.n8n.workflows(full) if w["name"] == full and not w["isArchived"]]
    if not found or not found[0].get("activeVersionId"):
        return None
    live = found[0].get("activeVersion") or found[0]
    [node] = [n for n in live["nodes"] if n["name"] == "Say"]
    text: str = node["parameters"]["assignments"]["assignments"][0]["value"]
    return text
