"""The documentation is current: what the code has is described, and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.settings import ENVIRONMENT
from reconciler.spec.codes import CODES
from tests.architecture.sources import ROOT, modules
from tools import make_diagnostics_page, make_metrics_page

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
CODE = re.compile(r"""["']((?:[A-Z]{3}|RISK)\d{3})["']""")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def page(name: str) -> str:
    """Read a page of the reference."""
    return (ROOT / "docs/reference" / name).read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """Give the anchors that a page's headings make."""
    titles = HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("code", list(ExitCode), ids=lambda code: code.name)
def test_every_exit_code_is_documented(code: ExitCode) -> None:
    assert f"| {code.value} | `{code.name}` |" in page("exit-codes.md")


@pytest.mark.parametrize("variable", sorted(ENVIRONMENT.values()))
def test_every_setting_is_documented(variable: str) -> None:
    assert f"`{variable}`" in page("settings.md")


def test_every_variable_that_the_code_reads_is_documented() -> None:
    found = {
        name
        for path in modules("reconciler")
        for name in re.findall(r"""["'](RECONCILER_[A-Z_]+)["']""", path.read_text("utf-8"))
    }

    assert {name for name in found if f"`{name}`" not in page("settings.md")} == set()


def test_every_command_is_documented() -> None:
    from reconciler.cli.main import COMMANDS

    headings = set(re.findall(r"^## `reconciler ([a-z-]+)", page("commands.md"), re.MULTILINE))

    assert headings == set(COMMANDS)


def test_every_diagnostic_code_is_documented() -> None:
    used = {
        code for path in modules("reconciler") for code in CODE.findall(path.read_text("utf-8"))
    }
    described = set(re.findall(r"^\| `([A-Z]+\d+)` \|", page("diagnostics.md"), re.MULTILINE))

    assert used | set(CODES) == described


def test_the_page_of_diagnostics_is_current() -> None:
    # If not: python -m tools.make_diagnostics_page
    assert make_diagnostics_page.page() == page("diagnostics.md")


def test_the_page_of_metrics_is_current() -> None:
    # If not: python -m tools.make_metrics_page
    assert make_metrics_page.page() == page("metrics.md")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)

    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        links = LINK.findall(path.read_text(encoding="utf-8"))
        targets = [(path.parent / link.partition("#")[0]).resolve() for link in links]
        waiting += [file for file in targets if file.suffix == ".md" and file.exists()]

    assert set(PAGES) - reached == set()


def test_the_example_variables_are_those_that_the_specs_name() -> None:
    specs = ROOT / "specs"
    texts = [path.read_text(encoding="utf-8") for path in specs.rglob("*.yaml")]
    named = {name for text in texts for name in re.findall(r"env: ([A-Z0-9_]+)", text)}
    listed = (specs / ".env.example").read_text(encoding="utf-8").splitlines()

    assert named == {line.partition("=")[0] for line in listed if "=" in line}
