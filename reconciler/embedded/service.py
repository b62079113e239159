"""A server that several of our processes share: started by the first, ended after the last.

Each user holds the FIFO `holders` in the server's folder open; a keeper process (`keeper`) ends
the server when the kernel has closed the last one, so a killed user leaves nothing behind. A
server whose keeper was killed is found by its pid and birth and taken over.

Not here: what the server is (`postgres`, `n8n_server`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import reconciler
from reconciler.embedded import process
from reconciler.embedded.files import (
    is_locked,
    last_lines,
    locked,
    make_private_folder,
    read_json,
    usable,
    write_private,
)
from reconciler.embedded.keeper import Task
from reconciler.errors import ConflictError, DeadlineExceeded, UnreachableError

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.02
MAX_LOG_BYTES = 8 * 1024 * 1024
START_ATTEMPTS = 3
KEEPER_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from reconciler.embedded.keeper import main; main()"
)

Progress = Callable[[str, float | None], None]


def silent(_message: str, _fraction: float | None) -> None:
    """Report progress to nobody."""


def is_free(port: int) -> bool:
    """Tell whether *port* of the loopback can be bound right now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Ask the kernel for a free port of the loopback."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def remembered_port(note: Path) -> int | None:
    """Give the port that `steady_port` remembered in the file *note*, if any."""
    port = (read_json(note) or {}).get("port")
    return port if isinstance(port, int) else None


def steady_port(note: Path, wanted: int) -> int:
    """Give the port in the file *note* if it is free, else *wanted*, else any.

    The first one is remembered there, and is taken again as soon as it is free: an address that
    others were told (a webhook's, say) should not change without need.
    """
    last = remembered_port(note)
    known = [port for port in (last, wanted) if port is not None]
    port = next((port for port in known if is_free(port)), None) or free_port()
    if last is None:
        make_private_folder(note.parent)
        write_private(note, json.dumps({"port": port}))
    return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a server: command, environment, folder and the ports it will bind.

    *facts* is what other processes need to know about it.
    """

    argv: Sequence[str]
    env: dict[str, str]
    cwd: Path
    ports: Sequence[int] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What a kind of server is like: its name, how it is ended, how long it may take to start.

    *stop* is a list of (signal, seconds to wait for its effect); *group* sends it to the whole
    process group. *setup* names what must be equal for two processes to share a server.
    """

    title: str
    stop: Sequence[tuple[int, float]]
    group: bool
    start_seconds: float
    error: type[UnreachableError]
    setup: str = ""
    poll_seconds: float = POLL_SECONDS


class SharedServer:
    """One server below *folder*, shared by every process that acquires it."""

    def __init__(self, folder: Path, nature: Nature) -> None:
        self.folder = folder
        self.nature = nature
        self.log = folder / "server.log"
        self._holder: int | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def holder(self) -> int | None:
        """The descriptor that keeps the server alive; a child that inherits it holds it too."""
        return self._holder

    def facts(self) -> dict[str, Any] | None:
        """Return what is known about the running server, None when it is not running."""
        info = read_json(self.folder / "server.json")
        if info is None or not is_locked(self.folder / "keeper.lock"):
            return None
        return info if process.is_alive(info.get("pid", 0), info.get("born")) else None

    def acquire(
        self,
        launch: Callable[[int], Launch],
        is_ready: Callable[[dict[str, Any]], bool],
        *,
        progress: Progress = silent,
        also_hold: Sequence[int] = (),
    ) -> dict[str, Any]:
        """Use the running server or start one; return its facts (`port`, `pid`, ...).

        *launch* is called with the port to use. *also_hold* are descriptors that the server's
        keeper keeps open for as long as the server runs. Raises the nature's error when the
        server ends while starting, DeadlineExceeded when it takes too long, ConflictError when
        one with another setup is running.
        """
        self.release()
        with usable(self.folder):
            make_private_folder(self.folder)
            with suppress(FileExistsError):
                os.mkfifo(self.folder / "holders", 0o600)
            self._holder = os.open(self.folder / "holders", os.O_RDWR | os.O_NONBLOCK)
        try:
            with usable(self.folder), locked(self.folder / "lock"):
                return self._obtain(launch, is_ready, progress, also_hold)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go of the server; returns when it has ended, or at once when others hold it."""
        if self._holder is None:
            return
        keeper = read_json(self.folder / "server.json") or {}
        holder, self._holder = self._holder, None
        os.close(holder)
        deadline = time.monotonic() + sum(seconds for _, seconds in self.nature.stop) + 5
        # Until its process is gone a keeper may itself hold other servers (`also_hold`).
        while (
            is_locked(self.folder / "keeper.lock")
            or process.is_alive(keeper.get("keeper", 0), keeper.get("keeper_born"))
        ) and not self._has_holders():
            if time.monotonic() > deadline:
                raise DeadlineExceeded(
                    f"{self.nature.title} did not end", hint=f"its log is {self.log}"
                )
            time.sleep(POLL_SECONDS)

    def _has_holders(self) -> bool:
        reader = os.open(self.folder / "holders", os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(reader, 1) != b""
        except BlockingIOError:
            return True
        finally:
            os.close(reader)

    def _obtain(
        self,
        launch: Callable[[int], Launch],
        is_ready: Callable[[dict[str, Any]], bool],
        progress: Progress,
        also_hold: Sequence[int],
    ) -> dict[str, Any]:
        facts = self.facts()
        if facts is not None and facts.get("setup") != self.nature.setup:
            raise ConflictError(
                f"{self.nature.title} is already running in {self.folder} with another setup",
                hint="stop the other process first or use another folder",
            )
        if facts is not None:
            self._wait(facts, is_ready, progress)
            return facts
        facts = self._take_over(is_ready, also_hold)
        if facts is not None:
            return facts
        for _ in range(START_ATTEMPTS - 1):
            facts = self._start(launch, also_hold)
            try:
                self._wait(facts, is_ready, progress)
            except self.nature.error:
                # Between our look at a port and the server's bind somebody else may take it.
                if all(is_free(port) for port in facts["ports"]):
                    raise
            else:
                return facts
        facts = self._start(launch, also_hold)
        self._wait(facts, is_ready, progress)
        return facts

    def _take_over(
        self, is_ready: Callable[[dict[str, Any]], bool], also_hold: Sequence[int]
    ) -> dict[str, Any] | None:
        """Find a server whose keeper was killed: keep it when it is well, else end it."""
        info = read_json(self.folder / "server.json")
        if info is None or not process.is_alive(info.get("pid", 0), info.get("born")):
            return None
        if info.get("setup") == self.nature.setup and is_ready(info):
            self._launch_keeper(Launch(argv=[], env={}, cwd=self.folder, facts=info), also_hold)
            return self.facts()
        self._end_leftover(info["pid"], info["born"])
        return None

    def _end_leftover(self, pid: int, born: str) -> None:
        for number, seconds in self.nature.stop:
            process.send(pid, number, group=self.nature.group)
            deadline = time.monotonic() + seconds
            while process.is_alive(pid, born) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if not process.is_alive(pid, born):
                break
        if self.nature.group:
            process.send(pid, signal.SIGKILL, group=True)

    def _start(self, launch: Callable[[int], Launch], also_hold: Sequence[int]) -> dict[str, Any]:
        last = (read_json(self.folder / "server.json") or {}).get("port")
        port = last if isinstance(last, int) and is_free(last) else free_port()
        plan = launch(port)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old.log"))
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        facts = {"port": port, "ports": [port, *plan.ports], "setup": self.nature.setup}
        self._launch_keeper(plan, also_hold, facts)
        return read_json(self.folder / "server.json") or {}

    def _launch_keeper(
        self, plan: Launch, also_hold: Sequence[int], facts: dict[str, Any] | None = None
    ) -> None:
        known = {**plan.facts, **(facts or {})}
        task = Task(
            folder=str(self.folder),
            argv=list(plan.argv),
            env=plan.env,
            cwd=str(plan.cwd),
            log=str(self.log),
            facts=known,
            stop=[(int(number), seconds) for number, seconds in self.nature.stop],
            group=self.nature.group,
            adopt=0 if plan.argv else known["pid"],
        )
        root = Path(reconciler.__file__).resolve().parent.parent
        with self.log.open("ab") as log:
            keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", KEEPER_CODE, str(root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                start_new_session=True,
                pass_fds=tuple(also_hold),
            )
        # Reaped as soon as it ends, also when we live on for long without the server.
        threading.Thread(target=keeper.wait, daemon=True).start()
        self._keeper = keeper
        answer = b""
        if keeper.stdin is not None and keeper.stdout is not None:
            with keeper.stdout, keeper.stdin, suppress(BrokenPipeError):
                keeper.stdin.write(json.dumps(asdict(task)).encode() + b"\n")
                keeper.stdin.flush()
                answer = keeper.stdout.readline()
        if not answer:
            raise self._failure("could not be started")

    def _wait(
        self,
        facts: dict[str, Any],
        is_ready: Callable[[dict[str, Any]], bool],
        progress: Progress,
    ) -> None:
        begin = time.monotonic()
        while not is_ready(facts):
            seconds = time.monotonic() - begin
            if not process.is_alive(facts.get("pid", 0), facts.get("born")):
                raise self._failure("ended while it was starting")
            if seconds > self.nature.start_seconds:
                raise DeadlineExceeded(
                    f"{self.nature.title} was not ready after {self.nature.start_seconds:.0f} s",
                    hint=self._log_hint(),
                )
            progress(f"starting {self.nature.title}", None)
            time.sleep(self.nature.poll_seconds)

    def _failure(self, what: str) -> UnreachableError:
        return self.nature.error(f"{self.nature.title} {what}", hint=self._log_hint())

    def _log_hint(self) -> str:
        lines = last_lines(self.log, since=self._log_start)
        return f"its log {self.log} ends with:\n{lines}" if lines else f"its log is {self.log}"
