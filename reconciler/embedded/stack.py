"""Everything `up` runs: PostgreSQL and n8n under one state folder, and the note that says so.

`up.json` lets a second shell find the servers and lets a second `up` be refused. Not here:
migrations, applying specs, the daemon.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from reconciler.embedded import process
from reconciler.embedded.files import locked, make_private_folder, usable, write_private
from reconciler.embedded.n8n_install import Installer
from reconciler.embedded.n8n_owner import ensure_api_key
from reconciler.embedded.n8n_server import DATABASE as N8N_DATABASE
from reconciler.embedded.n8n_server import EmbeddedN8n
from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.running import NOTE, Running, read_running
from reconciler.embedded.service import Progress, silent
from reconciler.errors import ConfigError, ConflictError
from reconciler.store.admin import create_database

OUR_DATABASE = "reconciler"


def start_n8n(
    state: Path, server_url: str, *, progress: Progress = silent, also_hold: Sequence[int] = ()
) -> tuple[EmbeddedN8n, str]:
    """Install and start n8n with its own database on the server of *server_url*.

    Returns n8n and an API key with all scopes.
    """
    installed = Installer(progress=progress).ensure()
    create_database(server_url, N8N_DATABASE)
    n8n = EmbeddedN8n(
        state, with_database(server_url, N8N_DATABASE), installed, progress=progress
    ).start(also_hold)
    try:
        progress("making the n8n owner and API key", None)
        return n8n, ensure_api_key(n8n.url, n8n.folder)
    except BaseException:
        n8n.stop()
        raise


def with_database(url: str, name: str) -> str:
    """Return the address of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt like Ctrl-C does, so that what was started is ended.

    An exception that comes while an object is being destroyed is dropped by Python: a signal
    that was dropped that way interrupts at the end of the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        raise KeyboardInterrupt


def require_alone(state: Path) -> None:
    """Refuse to go on where another `up` runs; raises ConflictError."""
    other = read_running(state)
    if other is not None:
        where = f" ({other.n8n_url})" if other.n8n_url else ""
        raise ConflictError(
            f"`up` already runs in {state.absolute()}: process {other.pid}{where}"
            f" since {other.started_at}",
            hint="use it from here, or end it with Ctrl-C in its own terminal",
        )


class Stack:
    """Starts what is asked for below *state* and ends exactly that; a context manager.

    One at a time for a state folder. n8n's database is made beside ours on the same server,
    be it embedded or *external_database_url*.
    """

    def __init__(
        self,
        state: Path,
        *,
        want_postgres: bool,
        want_n8n: bool,
        external_database_url: str | None = None,
        public_url: str = "",
        progress: Progress = silent,
    ) -> None:
        """*public_url* is only noted, for whoever looks for it in a second shell."""
        if not want_postgres and want_n8n and not external_database_url:
            raise ConfigError(
                "n8n needs a PostgreSQL", hint="set DATABASE_URL or let the embedded one start"
            )
        self.state = state.absolute()
        self.database_url = external_database_url or ""
        self.n8n_url = ""
        self.n8n_api_key = ""
        self._public_url = public_url
        self._want_postgres = want_postgres
        self._want_n8n = want_n8n
        self._progress = progress
        self._since = ""
        self._started = ExitStack()
        self._watched: dict[str, Callable[[], object | None]] = {}  # name -> None: has ended

    def ended(self) -> str | None:
        """Name a server that we started and that is not running any more."""
        return next((name for name, status in self._watched.items() if status() is None), None)

    def __enter__(self) -> Self:
        """Start; raises ConflictError when another `up` runs, and what the servers raise."""
        with usable(self.state):
            make_private_folder(self.state)
        self._since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        with usable(self.state):
            self._claim()
        try:
            with termination_interrupts():
                self._start()
            self._note()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _start(self) -> None:
        also_hold: list[int] = []
        if self._want_postgres:
            self._progress("starting PostgreSQL", None)
            postgres = EmbeddedPostgres(self.state, progress=self._progress)
            self._started.callback(postgres.stop)
            postgres.start()
            self._watched["PostgreSQL"] = postgres.status
            also_hold = [postgres.holder] if postgres.holder is not None else []
            create_database(postgres.url(), OUR_DATABASE)
            self.database_url = postgres.url(OUR_DATABASE)
        if self._want_n8n:
            n8n, self.n8n_api_key = start_n8n(
                self.state, self.database_url, progress=self._progress, also_hold=also_hold
            )
            self._started.callback(n8n.stop)
            self._watched["n8n"] = n8n.status
            self.n8n_url = n8n.url

    def _claim(self) -> None:
        with locked(self.state / "up.lock"):
            require_alone(self.state)
            self._note()

    def _note(self) -> None:
        note = Running(
            pid=os.getpid(),
            born=process.birth(os.getpid()) or "",
            started_at=self._since,
            database_url=self.database_url,
            n8n_url=self.n8n_url,
            n8n_api_key=self.n8n_api_key,
            public_url=self._public_url,
        )
        write_private(self.state / NOTE, json.dumps(asdict(note)))

    def _stop(self) -> None:
        try:
            self._started.close()
        finally:
            (self.state / NOTE).unlink(missing_ok=True)
