"""The commands that need no server: init, validate, fmt, schema, completion, help."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.acceptance.shell import Forker, FreshInterpreter, Shell, bare_environment

FORMATS = ("text", "json", "github", "gitlab", "sarif", "junit")


@pytest.fixture
def shell(tmp_path: Path, forker: Forker) -> Shell:
    """A prompt in an empty folder, with nothing configured."""
    return Shell(folder=tmp_path, env=bare_environment(), starter=forker)


@pytest.fixture
def made(shell: Shell) -> Shell:
    """A folder that `init` has filled."""
    shell.ok("init")
    return shell


def test_init_makes_a_repository_that_is_valid(made: Shell) -> None:
    assert (made.folder / "specs/organizations/acme/hello.yaml").is_file()
    assert 0 == made.run("validate", "--strict").code
    assert 0 == made.run("fmt", "--check").code
    assert 0 == made.run("schema", "export", "--check").code


def test_init_overwrites_nothing(made: Shell) -> None:
    file = made.folder / "specs/organizations/acme/hello.yaml"
    file.write_text("mine")
    before = sorted(made.folder.rglob("*"))

    done = made.run("init")

    assert 64 == done.code
    assert "mine" == file.read_text()
    assert before == sorted(made.folder.rglob("*"))


@pytest.mark.parametrize("words", [("--organization", "Not A Name"), ("--owner", "nobody")])
def test_init_refuses_names_that_cannot_be(shell: Shell, words: tuple[str, ...]) -> None:
    assert 64 == shell.run("init", *words).code
    assert [] == list(shell.folder.iterdir())


def test_validate_needs_no_server_and_says_all_that_is_wrong(made: Shell) -> None:
    made.write(
        "specs/organizations/acme/bad.yaml",
        "apiVersion: reconciler/v1\nkind: Automation\nmetadata: {name: Bad_Name}\n"
        "spec:\n  tidle: x\n  createdBy: nobody\n  workflow: {file: workflows/none.json}\n"
        "  triggers:\n    - {name: t, type: SCHEDULE, cron: '61 * * * *', timezone: Europe/Berln}\n",
    )

    done = made.run("validate")

    assert 3 == done.code, done.said
    for words in ("bad.yaml:3:", "tidle", 'did you mean "Europe/Berlin"', "61", "none.json"):
        assert words in done.out, words
    assert "^" in done.out


@pytest.mark.parametrize("format_", FORMATS)
def test_validate_speaks_to_ci_systems(made: Shell, format_: str) -> None:
    made.write("specs/organizations/acme/bad.yaml", "kind: Automation\nspec: {tidle: x}\n")

    done = made.run("validate", "--format", format_)

    assert 3 == done.code, done.said
    assert "bad.yaml" in done.out
    if format_ in {"json", "gitlab", "sarif"}:
        json.loads(done.out)
    if format_ == "junit":
        assert [*ET.fromstring(done.out).iter("failure")]  # noqa: S314  # our own output
    if format_ == "github":
        assert done.out.startswith("::error ")


@pytest.mark.parametrize("format_", FORMATS)
def test_validate_is_content_in_every_format(made: Shell, format_: str) -> None:
    assert 0 == made.run("validate", "--format", format_).code


def test_validate_chooses_github_by_itself(made: Shell) -> None:
    made.write("specs/organizations/acme/bad.yaml", "kind: Nonsense\n")

    assert made.run("validate", GITHUB_ACTIONS="true").out.startswith("::error ")


def test_fmt_keeps_comments_and_is_done_after_once(made: Shell) -> None:
    file = made.write(
        "specs/organizations/acme/ugly.yaml",
        "# why this is here\nkind: Organization\nspec:\n      title:   Acme  # said so\n"
        "metadata: {name: acme}\napiVersion: reconciler/v1\n",
    )

    assert 2 == made.run("fmt", "--check").code
    made.ok("fmt")

    text = file.read_text()
    assert text.index("apiVersion") < text.index("kind") < text.index("metadata")
    assert "# why this is here" in text
    assert "# said so" in text
    assert 0 == made.run("fmt", "--check").code


def test_fmt_leaves_what_it_cannot_read(made: Shell) -> None:
    file = made.write("specs/organizations/acme/bad.yaml", "spec: [")

    assert 3 == made.run("fmt").code
    assert "spec: [" == file.read_text()


def test_schemas_are_json_schemas(shell: Shell) -> None:
    shell.ok("schema", "export", "out")

    names = sorted(path.name for path in (shell.folder / "out").iterdir())
    assert "automation.schema.json" in names
    for name in names:
        json.loads((shell.folder / "out" / name).read_text())
    (shell.folder / "out/automation.schema.json").write_text("{}")
    assert 2 == shell.run("schema", "export", "out", "--check").code


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_scripts_are_scripts(shell: Shell, name: str) -> None:
    text = shell.ok("completion", name).out

    assert "_RECONCILER_COMPLETE" in text
    if name == "bash":
        assert 0 == subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode


def test_completion_completes(shell: Shell) -> None:
    env = {
        "_RECONCILER_COMPLETE": "bash_complete",
        "COMP_WORDS": "reconciler pl",
        "COMP_CWORD": "1",
    }

    assert "plain,plan" == shell.run(**env).out.strip()


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    shell = Shell(folder=tmp_path, env=bare_environment(), starter=FreshInterpreter())

    done = shell.ok("--help")

    for command in (
        "up",
        "init",
        "validate",
        "plan",
        "apply",
        "status",
        "drift",
        "adopt",
        "doctor",
    ):
        assert f"  {command} " in done.out
    assert "Exit codes:" in done.out
    imported = _imported_by_help(tmp_path)
    assert set() == imported & {"httpx", "psycopg", "sqlalchemy", "pydantic", "rich", "yaml"}


def _imported_by_help(folder: Path) -> set[str]:
    code = (
        "import sys\nfrom reconciler.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('|' + ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True
    )
    return set(done.stdout.rpartition("|")[2].split())


@pytest.mark.parametrize("words", [("plan", "--help"), ("db", "--help"), ("db", "upgrade", "-h")])
def test_each_command_explains_itself(shell: Shell, words: tuple[str, ...]) -> None:
    assert "Usage: reconciler" in shell.ok(*words).out
