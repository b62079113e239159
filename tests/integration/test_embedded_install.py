"""Installing n8n, with a small program in the place of npm: whole or not at all, once, and clear."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from reconciler.embedded import process
from reconciler.embedded.n8n_install import (
    LOCK_FOLDER,
    PINNED_VERSION,
    Installer,
    cache_folder,
    wanted_version,
)
from reconciler.errors import ConfigError, ReconcilerError, UnreachableError

OVERRIDDEN = "2.39.1"

# Does what `npm ci` and `npm install` do for us: reads the wish, writes node_modules.
GOOD_NPM = """
    import json, os, pathlib, time
    if sys.argv[1] == "view":
        sys.exit()
    here = pathlib.Path.cwd()
    with (here.parent / "calls").open("a") as calls:
        print(sys.argv[1], os.environ["npm_config_cache"], file=calls)
    version = json.loads((here / "package.json").read_text())["dependencies"]["n8n"]
    package = here / "node_modules" / "n8n"
    (package / "bin").mkdir(parents=True)
    (package / "bin" / "n8n").touch()
    print("npm http fetch GET 200 n8n", flush=True)
    time.sleep(0.6)
    (package / "package.json").write_text(json.dumps({"version": version}))
    time.sleep(0.4)
"""


def _npm(folder: Path, body: str) -> list[str]:
    script = folder / "npm.py"
    script.write_text("import sys\n" + textwrap.dedent(body))
    return [sys.executable, str(script)]


def _failing(folder: Path, output: str) -> Installer:
    body = f"print({output!r}, file=sys.stderr); sys.exit(1)"
    return Installer(cache=folder / "cache", version=OVERRIDDEN, npm=_npm(folder, body))


def _names(cache: Path) -> list[str]:
    return sorted(entry.name for entry in cache.iterdir() if entry.is_dir())


def test_the_shipped_lock_names_the_pinned_version_and_no_registry() -> None:
    wish = json.loads((LOCK_FOLDER / "package.json").read_text())
    packages = json.loads((LOCK_FOLDER / "package-lock.json").read_text())["packages"]
    assert PINNED_VERSION == wish["dependencies"]["n8n"]
    assert PINNED_VERSION == packages["node_modules/n8n"]["version"]
    assert wish["dependencies"] == packages[""]["dependencies"]
    assert [] == [place for place, facts in packages.items() if "resolved" in facts]
    unchecked = {place for place, facts in packages.items() if "integrity" not in facts}
    bundled = {place for place, facts in packages.items() if facts.get("inBundle")}
    assert {""} | bundled == unchecked


def test_the_pinned_version_is_installed_from_the_lock_and_then_kept(tmp_path: Path) -> None:
    seen: list[float] = []
    installer = Installer(
        cache=tmp_path / "cache",
        version=PINNED_VERSION,
        npm=_npm(tmp_path, GOOD_NPM),
        progress=lambda _, fraction: seen.append(fraction or 0.0),
    )
    assert installer.find() is None
    installed = installer.ensure()
    assert tmp_path / "cache" / PINNED_VERSION / "node_modules/n8n/bin/n8n" == installed.script
    assert installed == installer.ensure() == installer.find()
    calls = (tmp_path / "cache" / "calls").read_text()
    assert f"ci {tmp_path / 'cache' / 'npm-cache'}\n" == calls
    assert 0 <= seen[0] <= seen[-1] < 1
    assert seen[-1] > 0
    assert sorted(seen) == seen


def test_an_overridden_version_is_installed_without_the_lock(tmp_path: Path) -> None:
    installer = Installer(
        cache=tmp_path / "cache", version=OVERRIDDEN, npm=_npm(tmp_path, GOOD_NPM)
    )
    assert OVERRIDDEN == installer.ensure().version
    assert (tmp_path / "cache" / "calls").read_text().startswith("install ")


@pytest.mark.parametrize("broken", ["installed.json", "node_modules/n8n/package.json"])
def test_an_incomplete_installation_is_done_again(tmp_path: Path, broken: str) -> None:
    installer = Installer(
        cache=tmp_path / "cache", version=OVERRIDDEN, npm=_npm(tmp_path, GOOD_NPM)
    )
    installer.ensure()
    (installer.folder / broken).write_text('{"version": "1.0.0"}')
    assert installer.find() is None
    assert installer.ensure() == installer.find()


def test_something_else_than_asked_is_not_accepted(tmp_path: Path) -> None:
    body = GOOD_NPM.replace('["dependencies"]["n8n"]', '["dependencies"]["n8n"] + "-rc"')
    installer = Installer(cache=tmp_path / "cache", version=OVERRIDDEN, npm=_npm(tmp_path, body))
    with pytest.raises(ReconcilerError, match="something else than n8n"):
        installer.ensure()
    assert installer.find() is None


def test_the_leftovers_of_a_killed_installation_go(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / f"{OVERRIDDEN}.new-1" / "node_modules").mkdir(parents=True)
    Installer(cache=cache, version=OVERRIDDEN, npm=_npm(tmp_path, GOOD_NPM)).ensure()
    assert [OVERRIDDEN] == _names(cache)


INSTALL = """
import pathlib, sys
from reconciler.embedded.n8n_install import Installer
cache = pathlib.Path(sys.argv[1])
try:
    Installer(cache=cache, version=sys.argv[2], npm=sys.argv[3:]).ensure()
except KeyboardInterrupt:
    sys.exit(130)
"""


def _installing(tmp_path: Path, npm: list[str]) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", INSTALL, str(tmp_path / "cache"), OVERRIDDEN, *npm]
    return subprocess.Popen(argv)


def test_two_processes_install_once(tmp_path: Path) -> None:
    npm = _npm(tmp_path, GOOD_NPM)
    with _installing(tmp_path, npm) as first, _installing(tmp_path, npm) as second:
        assert [0, 0] == [first.wait(), second.wait()]
    assert 1 == len((tmp_path / "cache" / "calls").read_text().splitlines())


SLOW_NPM = """
    import os, pathlib, subprocess, time
    child = subprocess.Popen(["sleep", "60"])
    (pathlib.Path.cwd().parent / "pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_installation_ends_npm_and_all_its_children(
    tmp_path: Path, number: signal.Signals
) -> None:
    pids_file = tmp_path / "cache" / "pids"
    with _installing(tmp_path, _npm(tmp_path, SLOW_NPM)) as installing:
        while not (pids_file.exists() and " " in pids_file.read_text()):
            assert installing.poll() is None
            time.sleep(0.02)
        installing.send_signal(number)
        installing.wait(30)
    pids = [int(pid) for pid in pids_file.read_text().split()]
    deadline = time.monotonic() + 20
    while any(process.birth(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [None, None] == [process.birth(pid) for pid in pids]
    if number is signal.SIGINT:
        assert 130 == installing.returncode
        assert [] == _names(tmp_path / "cache")


def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    installer = _failing(tmp_path, "npm error code ENOTFOUND\nnpm error network request failed")
    with pytest.raises(UnreachableError, match="could not be downloaded") as caught:
        installer.ensure()
    assert "check the network" in str(caught.value.hint)
    assert [] == _names(installer.cache)


def test_a_version_that_does_not_exist_is_a_configuration_error(tmp_path: Path) -> None:
    installer = _failing(tmp_path, "npm error code ETARGET\nnpm error notarget No matching version")
    with pytest.raises(ConfigError, match=r"n8n 2\.39\.1 cannot be had"):
        installer.ensure()


def test_another_failure_shows_what_npm_said(tmp_path: Path) -> None:
    installer = _failing(tmp_path, "npm error code EBADENGINE")
    with pytest.raises(ReconcilerError, match="npm could not install") as caught:
        installer.ensure()
    assert "EBADENGINE" in str(caught.value.hint)


def test_a_cache_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    installer = Installer(cache=tmp_path / "file" / "cache", version=OVERRIDDEN, npm=["false"])
    with pytest.raises(ConfigError, match="cannot be made"):
        installer.ensure()


def test_the_cache_folder_and_the_version_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("RECONCILER_CACHE_DIR", raising=False)
    assert tmp_path / "xdg" / "reconciler" / "n8n" == cache_folder()
    monkeypatch.setenv("RECONCILER_CACHE_DIR", str(tmp_path / "own"))
    assert tmp_path / "own" / "reconciler" / "n8n" == cache_folder()
    monkeypatch.setenv("RECONCILER_N8N_VERSION", OVERRIDDEN)
    assert OVERRIDDEN == wanted_version()
    monkeypatch.setenv("RECONCILER_N8N_VERSION", "latest")
    with pytest.raises(ConfigError, match="'latest', which is not an exact version"):
        wanted_version()
    monkeypatch.delenv("RECONCILER_N8N_VERSION")
    assert PINNED_VERSION == wanted_version()
    assert os.environ["XDG_CACHE_HOME"] == str(tmp_path / "xdg")
