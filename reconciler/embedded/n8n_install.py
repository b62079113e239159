"""n8n in the user's cache folder: installed once, in exact versions, whole or not at all.

An interrupted installation is done again; npm's own cache keeps what was downloaded.
Not here: starting n8n (`n8n_server`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import reconciler
from reconciler.embedded.files import (
    is_locked,
    last_lines,
    locked,
    read_json,
    usable,
)
from reconciler.embedded.node import find_node
from reconciler.embedded.service import Progress, silent
from reconciler.errors import ConfigError, ReconcilerError, UnreachableError

PINNED_VERSION = "2.40.5"
VERSION_VARIABLE = "RECONCILER_N8N_VERSION"
LOCK_FOLDER = Path(__file__).parent / "n8n-lock"
NEEDED_BYTES = 4 * 1024**3
POLL_SECONDS = 0.25
MARKER = "installed.json"
PACKAGES_GUESS = 2400
NPM_FLAGS = (
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--no-progress",
    # Each answer of the registry is a line in the log: that is what progress is read from.
    "--loglevel=http",
    "--fetch-retries=3",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=10000",
)
NO_NETWORK = re.compile(
    r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH"
    r"|ERR_SOCKET_TIMEOUT|CERT_|E50[0-9]|network"
)
NO_VERSION = re.compile(r"ETARGET|E404|No matching version")
LEASH_CODE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from reconciler.embedded.leash import main; main()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An installed n8n: its version and the script that starts it."""

    version: str
    script: Path

    @property
    def compile_cache(self) -> Path:
        """Where Node may keep what it compiled of this installation."""
        return self.script.parents[3] / "compile-cache"


def cache_folder() -> Path:
    """Return the folder for installed versions: `RECONCILER_CACHE_DIR`, XDG's, or ~/.cache."""
    base = os.environ.get("RECONCILER_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "reconciler" / "n8n"


def wanted_version() -> str:
    """Return the version to install; raises ConfigError when the override is no version."""
    version = os.environ.get(VERSION_VARIABLE) or PINNED_VERSION
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?", version):
        raise ConfigError(
            f"{VERSION_VARIABLE} is {version!r}, which is not an exact version",
            hint=f"write it like {PINNED_VERSION}",
        )
    return version


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """Installs n8n *version* below *cache*, with the command *npm*."""

    cache: Path = field(default_factory=cache_folder)
    version: str = field(default_factory=wanted_version)
    npm: Sequence[str] = field(default_factory=lambda: find_node().npm)
    progress: Progress = silent

    @property
    def folder(self) -> Path:
        """Where this version stands when it is whole."""
        return self.cache / self.version

    def find(self) -> Installed | None:
        """Return the installed n8n; None when it is missing, incomplete or another version."""
        package = self.folder / "node_modules" / "n8n"
        marker = read_json(self.folder / MARKER) or {}
        found = read_json(package / "package.json") or {}
        script = package / "bin" / "n8n"
        if marker.get("version") == found.get("version") == self.version and script.is_file():
            return Installed(version=self.version, script=script)
        return None

    def ensure(self) -> Installed:
        """Return the installed n8n, installing it first when needed (minutes, some 3 GB).

        Raises UnreachableError without a network, ConfigError when the version does not exist
        or the disk is full, ReconcilerError when npm fails otherwise.
        """
        found = self.find()
        if found:
            return found
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the cache folder {self.cache} cannot be made: {error.strerror}",
                hint="set RECONCILER_CACHE_DIR to a folder you may write to",
            ) from error
        lock = self.cache / f"{self.version}.lock"
        with usable(self.cache):
            if is_locked(lock):
                self.progress(f"waiting for another installation of n8n {self.version}", None)
            with locked(lock):
                return self.find() or self._install()

    def _install(self) -> Installed:
        self._check_space()
        for leftover in self.cache.glob(f"{self.version}.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        draft = self.cache / f"{self.version}.new-{os.getpid()}"
        draft.mkdir()
        try:
            command = self._prepare(draft)
            self._log.unlink(missing_ok=True)
            # One small question first: npm itself needs minutes to find out that it is offline.
            self._run_npm(["view", f"n8n@{self.version}", "version"], draft)
            self._run_npm([command, "--prefer-offline"], draft)
            # Readable for all: an installation made for a whole machine serves every user.
            (draft / MARKER).write_text(json.dumps({"version": self.version}), encoding="utf-8")
            if self.folder.exists():
                shutil.rmtree(self.folder)
            draft.rename(self.folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        shutil.rmtree(self._npm_cache, ignore_errors=True)
        found = self.find()
        if found is None:
            raise ReconcilerError(
                f"npm installed something else than n8n {self.version}",
                hint=f"remove {self.folder} and try again; npm's log is {self._log}",
            )
        return found

    def _prepare(self, draft: Path) -> str:
        """Write the package files of npm into *draft*; return npm's command."""
        if self.version == PINNED_VERSION:
            for name in ("package.json", "package-lock.json"):
                shutil.copyfile(LOCK_FOLDER / name, draft / name)
            return "ci"
        package = {"private": True, "dependencies": {"n8n": self.version}}
        (draft / "package.json").write_text(json.dumps(package), encoding="utf-8")
        return "install"

    def _run_npm(self, command: Sequence[str], draft: Path) -> None:
        root = Path(reconciler.__file__).resolve().parent.parent
        python = [sys.executable, "-I", "-S", "-c", LEASH_CODE, str(root)]
        with self._log.open("ab") as log:
            leash = subprocess.Popen(
                [*python, *self.npm, *command, *NPM_FLAGS],
                cwd=draft,
                env={**os.environ, "npm_config_cache": str(self._npm_cache)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                self._watch(leash, Meter(draft, self._log))
            finally:
                if leash.stdin is not None:
                    leash.stdin.close()
                leash.wait()
        if leash.returncode != 0:
            raise self._failure()

    def _watch(self, leash: subprocess.Popen[bytes], meter: Meter) -> None:
        title = f"installing n8n {self.version} into {self.folder}"
        while leash.poll() is None:
            fraction = meter.read()
            self.progress(f"{title} ({meter.unpacked} of {meter.total} packages)", fraction)
            # wait() would be woken at once by the end, sleep() would not.
            with suppress(subprocess.TimeoutExpired):
                leash.wait(POLL_SECONDS)

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.cache).free
        if free < NEEDED_BYTES:
            raise ConfigError(
                f"n8n needs {NEEDED_BYTES / 1024**3:.0f} GB in {self.cache},"
                f" {free / 1024**3:.1f} GB are free",
                hint="make room, or set RECONCILER_CACHE_DIR to a folder on another disk",
            )

    def _failure(self) -> ReconcilerError:
        tail = last_lines(self._log, count=80).splitlines()
        said = [line for line in tail if line.startswith("npm error")][:4]
        lines = "\n".join(said or tail[-4:])
        if NO_VERSION.search(lines):
            return ConfigError(
                f"n8n {self.version} cannot be had from the npm registry",
                hint=f"unset {VERSION_VARIABLE} to use {PINNED_VERSION}; npm said:\n{lines}",
            )
        if NO_NETWORK.search(lines):
            return UnreachableError(
                f"n8n {self.version} could not be downloaded from the npm registry",
                hint="check the network and the proxy settings and run it again (what was"
                f" downloaded is kept), or set N8N_URL; npm said:\n{lines}",
            )
        return ReconcilerError(
            f"npm could not install n8n {self.version}",
            hint=f"npm's log is {self._log}; it ends with:\n{lines}",
        )

    @property
    def _log(self) -> Path:
        return self.cache / f"{self.version}.install.log"

    @property
    def _npm_cache(self) -> Path:
        return self.cache / "npm-cache"


class Meter:
    """How far npm has come: it asks for each package, fetches it, and unpacks it."""

    def __init__(self, draft: Path, log: Path) -> None:
        self._log = log
        self._offset = 0
        self._answers = 0
        self._missing = _package_files(draft)
        self._draft = draft
        self.unpacked = 0
        self.total = len(self._missing) or PACKAGES_GUESS

    def read(self) -> float:
        """Look again; return the part that is done, from 0 to 1, never less than before."""
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            news = stream.read()
        self._offset += len(news)
        self._answers = min(2 * self.total, self._answers + news.count(b"http fetch GET"))
        if self._missing:
            self._missing = [path for path in self._missing if not path.is_file()]
            self.unpacked = self.total - len(self._missing)
        else:
            found = sum(1 for _ in self._draft.glob("node_modules/*/package.json"))
            self.unpacked = max(self.unpacked, min(self.total - 1, found))
        return (self._answers + self.unpacked) / (3 * self.total)


def _package_files(draft: Path) -> list[Path]:
    """List the files whose presence shows how far npm has come; empty without a lock file."""
    lock = read_json(draft / "package-lock.json") or {}
    packages: dict[str, dict[str, object]] = lock.get("packages", {})
    return [
        draft / place / "package.json"
        for place, facts in packages.items()
        if place and not facts.get("optional")
    ]
