"""The cases of ``tests/cases/spec``: texts of specs, and every diagnostic they get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.diagnostics import Diagnostic
from reconciler.kinds.models import MODELS
from reconciler.source.load import load
from reconciler.spec.codes import CODES
from reconciler.spec.report import FORMATS, render, text

FOLDER = Path(__file__).parent.parent / "cases" / "spec"
ORGANIZATION = """\
apiVersion: reconciler/v1
kind: Organization
metadata: {name: acme}
spec: {title: Acme}
"""
AUTOMATION = """\
apiVersion: reconciler/v1
kind: Automation
metadata: {name: a}
spec:
  title: A
  createdBy: ops@acme.example
  workflow: {inline: {nodes: []}}
  triggers:
"""


def cases() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text(encoding="utf-8")):
            yield pytest.param(case, id=f"{path.stem}: {case['about']}")


def files_of(case: dict[str, Any]) -> dict[str, str]:
    files: dict[str, str] = dict(case.get("files", {}))
    if case.get("template") == "automation":
        lines = case["triggers"].splitlines(keepends=True)
        files["acme/a.yaml"] = AUTOMATION + "".join("    " + line for line in lines)
    if not case.get("bare"):
        files["acme/organization.yaml"] = ORGANIZATION
    return {base_of(case) + name: content for name, content in files.items()}


def base_of(case: dict[str, Any]) -> str:
    return "" if case.get("outside") else "organizations/"


def said(diagnostic: Diagnostic, base: str) -> str:
    place = str(diagnostic.mark).removeprefix("specs/" + base)
    hint = f" | {diagnostic.hint}" if diagnostic.hint else ""
    return f"{place} {diagnostic.code} {diagnostic.message}{hint}"


@pytest.mark.parametrize("case", list(cases()))
def test_a_spec_text_gets_exactly_these_diagnostics(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in files_of(case).items():
        path = tmp_path / "specs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    loaded = load(Path("specs"), MODELS)

    found = sorted(said(item, base_of(case)) for item in loaded.diagnostics)
    wanted = sorted(case["expect"])
    assert [line[: len(start)] for line, start in zip(found, wanted, strict=False)] == wanted
    assert len(found) == len(wanted), found[len(wanted) :]
    assert {item.code for item in loaded.diagnostics} <= CODES.keys()
    for word in case.get("never", []):
        for form in FORMATS:
            assert word not in render(loaded.diagnostics, loaded.texts, form)
        assert word not in text(loaded.diagnostics, loaded.texts, colour=True)
