"""The files in deploy/ parse, name settings that exist, and fit what the code does."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.cli.main import COMMANDS
from reconciler.embedded.n8n_install import PINNED_VERSION
from reconciler.settings import ENVIRONMENT
from tests.architecture.sources import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd/reconciler.service"
SETTINGS = set(ENVIRONMENT.values())
OURS = re.compile(r"\b((?:RECONCILER|N8N|DATABASE|ENCRYPTION)_[A-Z0-9_]+)=")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        (DEPLOY / "container/compose.yaml").read_text(encoding="utf-8")
    )
    return document


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    services: dict[str, dict[str, Any]] = compose["services"]
    return {name: one for name, one in services.items() if one["image"].startswith("reconciler")}


def test_the_compose_file_names_only_settings_that_exist(compose: dict[str, Any]) -> None:
    named = {setting for one in ours(compose).values() for setting in one["environment"]}

    assert named
    assert named - SETTINGS == set()


def test_the_compose_file_starts_commands_that_exist(compose: dict[str, Any]) -> None:
    assert {"upgrade", "daemon"} == set(ours(compose))
    assert {one["command"][0] for one in ours(compose).values()} <= set(COMMANDS)


def test_the_compose_file_runs_postgresql_16_and_the_n8n_that_is_tested(
    compose: dict[str, Any],
) -> None:
    images = {name: one["image"] for name, one in compose["services"].items()}

    assert images["postgres"].startswith("postgres:16")
    assert images["n8n"].endswith(f":{PINNED_VERSION}")


def test_each_secret_is_a_file_that_is_made_and_used(compose: dict[str, Any]) -> None:
    made = (DEPLOY / "container/make-secrets.sh").read_text(encoding="utf-8")
    used = {secret for one in compose["services"].values() for secret in one["secrets"]}
    named = {
        Path(value).name
        for one in compose["services"].values()
        for value in one["environment"].values()
        if str(value).startswith("/run/secrets/")
    }

    assert used == set(compose["secrets"])
    assert named <= used
    assert {name for name in used if name not in made} == set()
    assert {one["file"] for one in compose["secrets"].values()} == {
        f"./secrets/{name}" for name in used
    }


def test_each_dependency_and_volume_is_declared(compose: dict[str, Any]) -> None:
    for one in compose["services"].values():
        assert set(one.get("depends_on", ())) <= set(compose["services"])
        for volume in one.get("volumes", ()):
            source = re.sub(r"^\$\{\w+:-([^}]*)\}", r"\1", volume).partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "container" / source).exists()
            else:
                assert source in compose["volumes"]
    for name, one in ours(compose).items():
        for waited, how in one["depends_on"].items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][waited], name


def test_the_daemon_may_finish_before_it_is_killed(compose: dict[str, Any]) -> None:
    unit = _unit()
    grace = 30 + 10  # its own grace, and handing back

    assert int(compose["services"]["daemon"]["stop_grace_period"].rstrip("s")) > grace
    assert int(unit["Service"]["TimeoutStopSec"]) > grace


def test_the_unit_and_the_image_name_only_settings_that_exist() -> None:
    files = (UNIT, DEPLOY / "systemd/environment.example", DEPLOY / "container/Containerfile")
    for file in files:
        named = set(OURS.findall(file.read_text(encoding="utf-8")))
        assert named, file
        assert named - SETTINGS == set(), file


def test_what_the_image_copies_is_there() -> None:
    text = (DEPLOY / "container/Containerfile").read_text(encoding="utf-8")
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
        for name in line.split()
    ]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()

    assert {name for name in copied if not (ROOT / name).exists()} == set()
    assert set(copied) & set(ignored) == set()
    assert json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[-1])[0] in COMMANDS


def test_a_wrong_setting_does_not_restart_the_unit_for_ever() -> None:
    service = _unit()["Service"]

    assert "78" in service["RestartPreventExitStatus"].split()
    assert service["ExecStart"].split()[1] in COMMANDS


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_finds_the_unit_right_and_safe(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8").replace("/opt/reconciler/bin/reconciler", "/bin/true")
    unit.write_text(text, encoding="utf-8")

    verified = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (0, "") == (verified.returncode, verified.stderr)
    assert rated.returncode == 0, rated.stdout


@pytest.mark.parametrize("script", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.name)
def test_the_scripts_parse(script: Path) -> None:
    checked = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, check=False)

    assert (0, "") == (checked.returncode, checked.stderr)
    assert script.stat().st_mode & 0o111


def test_the_secrets_are_made_once(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    shutil.copy(DEPLOY / "container/make-secrets.sh", script)
    for _ in range(2):
        subprocess.run(["sh", str(script)], check=True, capture_output=True)
        made = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}

    assert re.fullmatch("[0-9a-f]{64}", made["encryption_key"])
    assert made["reconciler_database_password"] in made["database_url"]
    again = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert made == again


def _unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return parser
