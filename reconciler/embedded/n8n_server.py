"""An n8n of our own: loopback only, its own database, settings that call nobody.

Not here: installing it (`n8n_install`), its owner and API key (`n8n_owner`).
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from reconciler.embedded.files import ensure_secret, make_private_folder, usable
from reconciler.embedded.n8n_install import Installed
from reconciler.embedded.node import find_node
from reconciler.embedded.service import (
    LOOPBACK,
    Launch,
    Nature,
    Progress,
    SharedServer,
    free_port,
    silent,
)
from reconciler.errors import ConfigError, N8nUnreachable

DATABASE = "n8n"
POLL_TIMEOUT_SECONDS = 5
# What may pass from our environment: the way out of the machine, and the operator's own choices.
PASSED = (
    *("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "WEBHOOK_URL", "GENERIC_TIMEZONE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
)
PASSED_PREFIXES = ("N8N_", "EXECUTIONS_", "NODE_")
# Ours, not n8n's: the address and the key of the n8n that the command line talks to.
NOT_PASSED = ("N8N_URL", "N8N_API_KEY")
# Good for a server of our own; an operator's environment wins.
DEFAULTS = {
    # Runs are followed by what n8n saves of them; these are its own defaults, written out.
    "EXECUTIONS_DATA_SAVE_ON_ERROR": "all",
    "EXECUTIONS_DATA_SAVE_ON_SUCCESS": "all",
    "GENERIC_TIMEZONE": "UTC",
    "N8N_COMMUNITY_PACKAGES_ENABLED": "false",
    "N8N_DIAGNOSTICS_ENABLED": "false",
    "N8N_DISABLED_MODULES": "mcp-registry",
    "N8N_DYNAMIC_BANNERS_ENABLED": "false",
    "N8N_EXPRESSION_ENGINE_COMPILE_CACHE": "true",
    "N8N_EXPRESSION_ENGINE_LAZY_ACQUIRE": "true",
    "N8N_HIRING_BANNER_ENABLED": "false",
    "N8N_PERSONALIZATION_ENABLED": "false",
    "N8N_TEMPLATES_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_WHATS_NEW_ENABLED": "false",
    "NODE_ENV": "production",
}


class EmbeddedN8n:
    """An n8n below `<state>/n8n`; processes that name the same state share it.

    *database_url* names a database that exists and is n8n's alone.
    """

    def __init__(
        self,
        state: Path,
        database_url: str,
        installed: Installed,
        *,
        progress: Progress = silent,
    ) -> None:
        self.folder = state.absolute() / "n8n"
        self._database = urlsplit(database_url)
        self._installed = installed
        self._progress = progress
        where = f"{self._database.hostname}:{self._database.port}{self._database.path}"
        self._server = SharedServer(
            self.folder,
            Nature(
                title=f"n8n {installed.version}",
                stop=((signal.SIGTERM, 10), (signal.SIGKILL, 5)),
                group=True,
                start_seconds=180,
                poll_seconds=0.1,
                error=N8nUnreachable,
                setup=f"{installed.version} {where}",
            ),
        )
        self._port = 0

    @property
    def url(self) -> str:
        """The address of the editor and the API."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def version(self) -> str:
        """The version that runs."""
        return self._installed.version

    def start(self, also_hold: Sequence[int] = ()) -> Self:
        """Use the n8n that runs for this state folder or start one and wait until it answers.

        *also_hold* are descriptors of servers that n8n needs for as long as it runs. Raises
        N8nUnreachable when it ends while starting, DeadlineExceeded when it takes too long.
        """
        with usable(self.folder):
            make_private_folder(self.folder.parent)
        facts = self._server.acquire(
            self._launch, _is_ready, progress=self._progress, also_hold=also_hold
        )
        self._port = facts["port"]
        return self

    def stop(self) -> None:
        """Let go of n8n; the last process to do so ends it and waits for that."""
        self._server.release()

    def status(self) -> dict[str, Any] | None:
        """Return `pid`, `port` and more of the running n8n; None when it is not running."""
        return self._server.facts()

    def _launch(self, port: int) -> Launch:
        key = ensure_secret(self.folder / "encryption-key", secrets.token_hex(32))
        argv = [str(find_node().binary), str(self._installed.script), "start"]
        broker_port = free_port()
        return Launch(
            argv=argv,
            env=self._environment(port, broker_port, key),
            cwd=self.folder,
            ports=(broker_port,),
        )

    def _environment(self, port: int, broker_port: int, key: str) -> dict[str, str]:
        passed = {
            name: value
            for name, value in os.environ.items()
            if (name in PASSED or name.startswith(PASSED_PREFIXES)) and name not in NOT_PASSED
        }
        return {
            **DEFAULTS,
            # Node keeps what it compiled: about a second less at every start but the first.
            "NODE_COMPILE_CACHE": str(self._installed.compile_cache),
            **passed,
            **_database_settings(self._database.geturl()),
            "HOME": str(self.folder),
            "N8N_USER_FOLDER": str(self.folder),
            "N8N_ENCRYPTION_KEY": key,
            "N8N_LISTEN_ADDRESS": LOOPBACK,
            "N8N_HOST": LOOPBACK,
            "N8N_PORT": str(port),
            "N8N_PROTOCOL": "http",
            "N8N_SECURE_COOKIE": "false",
            "N8N_RUNNERS_BROKER_LISTEN_ADDRESS": LOOPBACK,
            "N8N_RUNNERS_BROKER_PORT": str(broker_port),
        }


def _database_settings(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    name = unquote(parts.path.lstrip("/"))
    if not parts.scheme.startswith("postgres") or not parts.hostname or not name:
        raise ConfigError(
            "the database of n8n has to be given as postgresql://user:password@host:port/name"
        )
    return {
        "DB_TYPE": "postgresdb",
        "DB_POSTGRESDB_HOST": parts.hostname,
        "DB_POSTGRESDB_PORT": str(parts.port or 5432),
        "DB_POSTGRESDB_DATABASE": name,
        "DB_POSTGRESDB_USER": unquote(parts.username or ""),
        "DB_POSTGRESDB_PASSWORD": unquote(parts.password or ""),
    }


def _is_ready(facts: dict[str, Any]) -> bool:
    """Tell whether n8n has migrated its database and serves REST (`/healthz` answers too early)."""
    base = f"http://{LOOPBACK}:{facts['port']}"
    try:
        for path in ("/healthz/readiness", "/rest/settings"):
            with urllib.request.urlopen(base + path, timeout=POLL_TIMEOUT_SECONDS) as answer:
                json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return False
    return True
