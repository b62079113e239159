"""Workers in processes of their own, and callers that ask for runs whatever happens.

Not here: what must hold afterwards (`tests.acceptance.invariants`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from reconciler.app import new_id
from reconciler.errors import ReconcilerError
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.store.notify import Notifier
from reconciler.trigger.execution import Cause, NewExecution
from tests.acceptance.invariants import open_rows

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests/acceptance/worker_process.py"
_LINES = 4  # callers at the same time


@dataclass(slots=True)
class Fleet:
    """Worker processes with the same settings."""

    env: Mapping[str, str]
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        """Start one more worker."""
        at = len(self.workers)
        with (self.folder / f"worker{at}.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, str(PROGRAM)],
                env={**self.env, **env, "PYTHONPATH": str(ROOT)},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.workers.append(worker)
        assert worker.stdout is not None
        said = worker.stdout.readline()
        assert said == b"working\n", self.logs()
        return worker

    def alive(self) -> list[subprocess.Popen[bytes]]:
        """List the workers that run."""
        return [worker for worker in self.workers if worker.poll() is None]

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """End a worker as a power cut does."""
        worker.kill()
        worker.wait()

    def freeze(self, worker: subprocess.Popen[bytes]) -> None:
        """Stop a worker in the middle of whatever it does."""
        worker.send_signal(signal.SIGSTOP)

    def thaw(self, worker: subprocess.Popen[bytes]) -> None:
        """Let it go on, as if nothing had happened."""
        worker.send_signal(signal.SIGCONT)

    def logs(self) -> str:
        """What the workers said on stderr."""
        return "\n".join(
            path.read_text()[-4000:] for path in sorted(self.folder.glob("worker*.log"))
        )

    def close(self) -> None:
        """End all."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()


@contextmanager
def fleet(env: Mapping[str, str], **pace: Any) -> Iterator[Fleet]:
    """Prepare worker processes with the settings *env*; *pace* are fields of a `Pace`."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        settings = {**kept, **env, "PACE": json.dumps(pace)}
        workers = Fleet(settings, Path(folder))
        try:
            yield workers
        finally:
            workers.close()


@dataclass(slots=True)
class Callers:
    """Ask for runs as webhooks do: a call counts as accepted when it was answered."""

    url: str
    automations: Sequence[str]
    accepted: list[str] = field(default_factory=list)
    trouble: int = 0  # calls that had to be made again

    async def call(self, count: int, *, together: int = 1, pause: float = 0.0) -> None:
        """Make *count* calls, *together* in a commit, each repeated until it is answered."""
        numbers = iter(range(len(self.accepted), len(self.accepted) + count))
        async with Database(self.url, pool_size=_LINES + 2) as database:
            notifier = Notifier(database)
            executions = Executions(database, new_id=new_id, notifier=notifier)
            async with asyncio.TaskGroup() as group:
                for _ in range(_LINES):
                    group.create_task(self._call(executions, numbers, together, pause))
            await notifier.close()

    async def _call(
        self, executions: Executions, numbers: Iterator[int], together: int, pause: float
    ) -> None:
        while some := list(itertools.islice(numbers, together)):
            new = [self._new(number) for number in some]
            while True:
                try:
                    answers = await executions.insert(new)
                except ReconcilerError:
                    self.trouble += 1
                    await asyncio.sleep(0.2)
                    continue
                break
            ids = [answer.id for answer in answers if answer.id is not None]
            assert len(ids) == len(new), answers
            self.accepted += ids
            await asyncio.sleep(pause)

    def _new(self, number: int) -> NewExecution:
        return NewExecution(
            automation_id=self.automations[number % len(self.automations)],
            cause=Cause.API,
            trigger_data={"call": number},
            idempotency_key=f"call-{number}",
        )


async def all_over(url: str, seconds: float, why: Fleet | None = None) -> float:
    """Wait until nothing waits or runs; return how long it took. The database may be away."""
    begun = time.monotonic()
    while True:
        with suppress(psycopg.OperationalError):
            left = await asyncio.to_thread(open_rows, url)
            if left == 0:
                return time.monotonic() - begun
        if time.monotonic() - begun > seconds:
            logs = "" if why is None else why.logs()
            raise AssertionError(
                f"{left} executions are open after {seconds:g} s\n{_open(url)}\n{logs}"
            )
        await asyncio.sleep(0.1)


def _open(url: str) -> str:
    """Describe what is open."""
    query = b"""
        SELECT id, status::text, attempt, "runAt" - (clock_timestamp() AT TIME ZONE 'UTC'),
            "leaseExpiresAt" - (clock_timestamp() AT TIME ZONE 'UTC'), "errorMessage"
        FROM workflow_executions WHERE status IN ('QUEUED', 'RUNNING') LIMIT 20
        """
    with psycopg.connect(url, autocommit=True) as connection:
        return "\n".join(str(row) for row in connection.execute(query))
