"""The best peer that installs, n8n-sync from PyPI, in a virtual environment of its own.

Both sides are whole commands here, started as a user starts them. The peer does
not record anything and does not wait until n8n serves what it accepted.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.applying import edit
from benchmarks.figures import Figure, against
from benchmarks.floor import Body, bodies, fresh
from benchmarks.generate import write_specs
from benchmarks.rig import Rig
from reconciler.settings import Settings

REQUIREMENT = "n8n-sync==0.2.1"
_OK = (0, 2)  # 2: the plan has changes


class PeerError(Exception):
    """The peer can't be installed or does not do its work."""


def run(rig: Rig, count: int) -> list[Figure]:
    """Let both make *count* workflows, find nothing to do, and change one."""
    settings = rig.anew(write_specs(rig.folder / "peer", count))
    home = rig.folder / "peer-ours"
    home.mkdir(exist_ok=True)
    ours = _ours(rig, settings, home)
    try:
        theirs = _theirs(rig, count)
    except PeerError as error:
        return [Figure(part="peer", what=REQUIREMENT, note=f"not measured: {error}")]
    names = (f"{count} new", "nothing to do", f"one change of {count}")
    return [
        against("peer", f"{name}, whole command", a, b, note=note)
        for name, a, b, note in zip(names, ours, theirs, _NOTES, strict=True)
    ]


_NOTES = (
    f"baseline: {REQUIREMENT}, push; it records nothing and does not wait until n8n serves",
    f"baseline: {REQUIREMENT}, diff; ours also reads the rows and the published versions",
    f"baseline: {REQUIREMENT}, push",
)


def _ours(rig: Rig, settings: Settings, home: Path) -> tuple[float, float, float]:
    command = [sys.executable, "-m", "reconciler"]
    shell = _Shell(home, rig.environment(settings))
    made = shell.run([*command, "apply", "--yes"])
    nothing = shell.run([*command, "plan"])
    edit(settings, 0, " changed")
    return made, nothing, shell.run([*command, "apply", "--yes"])


def _theirs(rig: Rig, count: int) -> tuple[float, float, float]:
    tool = _install(rig.folder / "peer-venv")
    sent, credential = asyncio.run(_read(rig))
    asyncio.run(rig.empty())
    home = rig.folder / "peer-theirs"
    (home / "workflows").mkdir(parents=True)
    new = [fresh(body, f"Peer {number}") for number, body in enumerate(sent)]
    for number, body in enumerate(new):
        _write(home, number, body)
    assert len(new) == count
    (home / ".n8n-sync.yml").write_text(json.dumps(_config(rig, credential)), encoding="utf-8")
    shell = _Shell(home, {"BENCH_KEY": rig.api_key, "COLUMNS": "100"})
    made = shell.run([str(tool), "push"])
    nothing = shell.run([str(tool), "diff", "--check"])
    prepare = next(node for node in new[0]["nodes"] if node["name"] == "Prepare")
    prepare["parameters"]["assignments"]["assignments"][0]["value"] = "changed"
    _write(home, 0, new[0])
    return made, nothing, shell.run([str(tool), "push"])


async def _read(rig: Rig) -> tuple[list[Body], Body]:
    async with rig.floor() as floor:
        sent = bodies(await floor.listing())
        used = _credential(sent[0])
        return sent, used


def _credential(body: Body) -> Body:
    found = (n["credentials"]["httpHeaderAuth"] for n in body["nodes"] if n.get("credentials"))
    used: Body = next(found)
    return used


def _config(rig: Rig, credential: Body) -> Body:
    ids = {"bench": {"httpHeaderAuth": {credential["name"]: credential["id"]}}}
    return {
        "instances": {"bench": {"url": rig.n8n_url, "api_key": "${BENCH_KEY}"}},
        "workflow_dir": "workflows",  # its README says workflows_dir, which it refuses
        "credential_ids": ids,
        "timeout": 120,
    }


def _write(home: Path, number: int, body: Body) -> None:
    kept = {key: body[key] for key in ("nodes", "connections", "settings")}
    head = f"---\nname: {body['name']}\nactive: true\ntags: []\n---\n"
    text = head + json.dumps(kept, indent=2, sort_keys=True) + "\n"
    (home / "workflows" / f"peer-{number:05d}.json").write_text(text, encoding="utf-8")


def _install(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q"]
    ran = subprocess.run(
        [*pip, "install", REQUIREMENT], capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise PeerError(f"pip could not install it: {ran.stderr.strip().splitlines()[-1][:200]}")
    return folder / "bin" / "n8n-sync"


@dataclass(frozen=True, slots=True)
class _Shell:
    """Runs commands in a folder, with additions to the environment."""

    home: Path
    environ: dict[str, str]

    def run(self, command: Sequence[str]) -> float:
        """Give the seconds that *command* took; raises PeerError when it fails."""
        start = time.perf_counter()
        ran = subprocess.run(
            command,
            cwd=self.home,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        if ran.returncode not in _OK:
            words = (ran.stderr or ran.stdout).strip()[-300:]
            raise PeerError(f"{Path(command[0]).name} ended with {ran.returncode}: {words}")
        return seconds
