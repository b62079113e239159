"""What the soak runs on: specs, servers of its own, a daemon in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOOKS = 4  # automations that are called
SCHEDULES = 10  # automations that start each minute
LISTENERS = 2  # automations that hear each event
EVENT = "soak.beat"

_AUTOMATION = """\
apiVersion: reconciler/v1
kind: Automation
metadata: {{name: {name}}}
spec:
  title: {name}
  createdBy: soak@example.com
  workflow: {{file: workflows/{file}.json}}
  triggers:
    - {trigger}
  execution: {{timeout: 2m, retries: 3, concurrency: 5, rateLimit: 6000/min}}
"""
_ORGANIZATION = """\
apiVersion: reconciler/v1
kind: Organization
metadata: {name: soak}
spec:
  title: Soak
  members: [{email: soak@example.com, role: ADMIN}]
"""
_READY = "Ctrl-C stops what was started here"
_START = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is: the folder, the servers, the daemon."""

    folder: Path
    database_url: str
    url: str
    daemon: subprocess.Popen[bytes]

    def pids(self) -> dict[str, int]:
        """Tell the processes to look at."""
        found = {"daemon": self.daemon.pid}
        for name in ("postgres", "n8n"):
            file = self.folder / ".reconciler" / name / "server.json"
            found[name] = int(json.loads(file.read_text(encoding="utf-8"))["pid"])
        return found


def write_specs(root: Path) -> None:
    """Write the automations of the soak."""
    home = root / "organizations" / "soak"
    (home / "workflows").mkdir(parents=True)
    (home / "organization.yaml").write_text(_ORGANIZATION, encoding="utf-8")
    hook = {"httpMethod": "POST", "path": "soak", "options": {}}
    every = {"rule": {"interval": [{"field": "cronExpression", "expression": "* * * * *"}]}}
    starts: dict[str, tuple[str, float, dict[str, Any]]] = {
        "hook": ("n8n-nodes-base.webhook", 2, hook),
        "tick": ("n8n-nodes-base.scheduleTrigger", 1.2, every),
        "beat": ("n8n-nodes-base.manualTrigger", 1, {}),
    }
    for name, (kind, version, parameters) in starts.items():
        text = json.dumps(_workflow(name, kind, version, parameters), indent=2)
        (home / "workflows" / f"{name}.json").write_text(text, encoding="utf-8")
    for file, count, trigger in (
        ("hook", HOOKS, "{name: call, type: WEBHOOK, auth: {scheme: none}}"),
        ("tick", SCHEDULES, '{name: minute, type: SCHEDULE, cron: "* * * * *", timezone: UTC}'),
        ("beat", LISTENERS, f"{{name: heard, type: FORM_SUBMITTED, event: {EVENT}}}"),
    ):
        for number in range(count):
            name = f"{file}-{number}"
            text = _AUTOMATION.format(name=name, file=file, trigger=trigger)
            (home / f"{name}.yaml").write_text(text, encoding="utf-8")


def _workflow(name: str, kind: str, version: float, parameters: dict[str, Any]) -> dict[str, Any]:
    done = {"id": "done", "name": "done", "value": "yes", "type": "string"}
    fields = {"assignments": {"assignments": [done]}, "options": {}}
    nodes = [
        _node("Start", kind, version, parameters, 0),
        _node("Done", "n8n-nodes-base.set", 3.4, fields, 1),
    ]
    link = {"Start": {"main": [[{"node": "Done", "type": "main", "index": 0}]]}}
    settings = {"executionOrder": "v1"}
    return {"name": name, "nodes": nodes, "connections": link, "settings": settings}


def _node(name: str, kind: str, version: float, parameters: Any, place: int) -> dict[str, Any]:
    return {
        "parameters": parameters,
        "type": kind,
        "typeVersion": version,
        "position": [220 * place, 0],
        "name": name,
    }


@contextmanager
def running(folder: Path) -> Iterator[Place]:
    """Start PostgreSQL, n8n and the daemon in *folder*; end them, and nothing else."""
    write_specs(folder / "specs")
    port = _free_port()
    ours = ("DATABASE_URL", "N8N_", "ENCRYPTION_", "RECONCILER_ROLES", "RECONCILER_PUBLIC")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ |= {"RECONCILER_PORT": str(port), "RECONCILER_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    with _started(folder, environ, "up", "--no-daemon") as up:
        _wait_for(folder / "up.out", _READY, up)
        if " 0 failed" not in (folder / "up.out").read_text(encoding="utf-8"):
            raise RuntimeError((folder / "up.err").read_text(encoding="utf-8"))
        note = json.loads((folder / ".reconciler" / "up.json").read_text(encoding="utf-8"))
        with _started(folder, environ, "daemon", "--log-format", "json") as daemon:
            _wait_for(folder / "daemon.err", '"listening"', daemon)
            yield Place(folder, note["database_url"], environ["RECONCILER_PUBLIC_URL"], daemon)


@contextmanager
def _started(
    folder: Path, environ: dict[str, str], *words: str
) -> Iterator[subprocess.Popen[bytes]]:
    with (
        (folder / f"{words[0]}.out").open("wb") as out,
        (folder / f"{words[0]}.err").open("wb") as err,
    ):
        command = [sys.executable, "-m", "reconciler", *words]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=err)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(90)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(file: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START
    while text not in file.read_text(encoding="utf-8", errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            err = file.with_suffix(".err").read_text(encoding="utf-8", errors="replace")
            message = f"{file.stem} did not start: {err[-2000:]}"
            raise RuntimeError(message)
        time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
