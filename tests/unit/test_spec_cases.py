"""The cases of ``tests/cases/spec``: texts of specs, and every diagnostic they get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.kinds.models import MODELS
from reconciler.resource.address import Address
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


def test_a_document_with_very_many_faults_shows_some_and_counts_the_rest(tmp_path: Path) -> None:
    fields = "".join(f"  field{number}: 1\n" for number in range(1000))
    (tmp_path / "a.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Organization\nmetadata: {name: acme}\n"
        f"spec:\n  title: A\n{fields}"
    )
    found = load(tmp_path, MODELS).diagnostics
    assert len(found) == 201
    assert [item.message for item in found if item.code == "SPE119"] == [
        "this document has 800 more faults"
    ]


def test_a_text_of_absurd_length_is_not_repeated(tmp_path: Path) -> None:
    name = "A-" * 100_000
    (tmp_path / "a.yaml").write_text(
        f"apiVersion: reconciler/v1\nkind: Organization\nmetadata: {{name: {name}}}\n"
        "spec: {title: A}\n"
    )
    found = load(tmp_path, MODELS).diagnostics
    assert [item.code for item in found] == ["SPE109"]
    assert len(found[0].message) < 600


class Finding:
    path = ("nodes", 0, "type")
    code = "WFL101"
    severity = Severity.WARNING
    message = "odd"
    hint = None


def test_a_finding_about_a_workflow_is_put_where_the_workflow_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Organization\nmetadata: {name: acme}\n"
        "spec: {title: A}\n---\n"
        "apiVersion: reconciler/v1\nkind: Automation\nmetadata: {name: a, organization: acme}\n"
        "spec:\n  title: A\n  createdBy: a@acme.example\n"
        "  workflow:\n    inline:\n      nodes:\n        - type: x\n---\n"
        "apiVersion: reconciler/v1\nkind: Automation\nmetadata: {name: b, organization: acme}\n"
        "spec: {title: B, createdBy: b@acme.example, workflow: {file: b.json}}\n"
    )
    (tmp_path / "b.json").write_text('{"nodes": [\n  {"type": "y"}]}')
    loaded = load(tmp_path, MODELS)
    assert loaded.diagnostics == ()
    placed = {
        item.address.name: str(item.workflow.diagnose(Finding()).mark).removeprefix(f"{tmp_path}/")
        for item in loaded.resources
        if item.workflow is not None
    }
    assert placed == {"a": "a.yaml:15:17", "b": "b.json:2:12"}


def test_triggers_inside_an_automation_become_resources_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Organization\nmetadata: {name: acme}\n"
        "spec: {title: A}\n---\n"
        "apiVersion: reconciler/v1\nkind: Automation\n"
        "metadata: {name: a, organization: acme, movedFrom: old}\n"
        "spec:\n  title: A\n  createdBy: a@acme.example\n  workflow: {inline: {}}\n"
        "  triggers:\n    - {name: t, type: API_CALL, active: false}\n"
    )
    loaded = load(tmp_path, MODELS)
    trigger = loaded.resource(Address("acme", "Trigger", "a.t"))
    assert trigger is not None
    assert trigger.moved_from == Address("acme", "Trigger", "old.t")
    assert (trigger.mark.line, trigger.mark.column) == (14, 7)
    spec = trigger.spec.model_dump(include={"automation", "active", "type"}, mode="json")
    assert spec == {"automation": "a", "active": False, "type": "API_CALL"}
    assert [str(item.address) for item in loaded.resources] == [
        "acme/Automation/a", "acme/Organization/acme", "acme/Trigger/a.t",
    ]  # fmt: skip
