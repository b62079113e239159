"""Diagnostics for other programs: JSON, GitHub, GitLab, SARIF 2.1.0 and JUnit."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from reconciler import __version__
from reconciler.diagnostics import Diagnostic, Severity
from reconciler.resource.payload import Object
from reconciler.spec.codes import CODES
from reconciler.spec.visible import clean

JSON_VERSION: Final = "1.0"  # a new field: minor; anything else: major
_GITHUB: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_GITLAB: Final = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTE: "info"}


def as_json(diagnostics: Iterable[Diagnostic]) -> Object:
    """Make the versioned JSON document of *diagnostics*."""
    items = tuple(diagnostics)
    count = Counter(item.severity for item in items)
    return {
        "version": JSON_VERSION,
        "errors": count[Severity.ERROR],
        "warnings": count[Severity.WARNING],
        "diagnostics": [_plain(item) for item in items],
    }


def _plain(item: Diagnostic) -> Object:
    mark = item.mark
    return {
        "severity": item.severity.value,
        "code": item.code,
        "message": clean(item.message),
        "hint": clean(item.hint) if item.hint else None,
        "path": clean(mark.path) if mark else None,
        "line": mark.line if mark else None,
        "column": mark.column if mark else None,
    }


def _sentence(item: Diagnostic) -> str:
    hint = f" (help: {clean(item.hint)})" if item.hint else ""
    return clean(item.message) + hint


def github(diagnostics: Iterable[Diagnostic]) -> str:
    """Write workflow commands that GitHub turns into annotations on the line."""
    lines = []
    for item in diagnostics:
        fields = {"title": item.code}
        if item.mark is not None:
            fields = {
                "file": item.mark.path,
                "line": str(item.mark.line),
                "col": str(item.mark.column),
                **fields,
            }
        properties = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
        lines.append(f"::{_GITHUB[item.severity]} {properties}::{_data(_sentence(item))}\n")
    return "".join(lines)


def _data(text: str) -> str:
    return clean(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def gitlab(diagnostics: Iterable[Diagnostic]) -> str:
    """Write GitLab's Code Quality report; fingerprints survive a shift of lines."""
    seen: Counter[str] = Counter()
    issues = []
    for item in diagnostics:
        path = clean(item.mark.path) if item.mark else "."
        identity = f"{path}\n{item.code}\n{item.message}"
        seen[identity] += 1
        fingerprint = hashlib.sha256(f"{identity}\n{seen[identity]}".encode(errors="replace"))
        issues.append(
            {
                "description": _sentence(item),
                "check_name": item.code,
                "fingerprint": fingerprint.hexdigest(),
                "severity": _GITLAB[item.severity],
                "location": {
                    "path": path,
                    "lines": {"begin": item.mark.line if item.mark else 1},
                },
            }
        )
    return json.dumps(issues, indent=2, ensure_ascii=False) + "\n"


def sarif(diagnostics: Iterable[Diagnostic]) -> str:
    """Write SARIF 2.1.0."""
    items = tuple(diagnostics)
    codes = sorted({item.code for item in items})
    run = {
        "tool": {
            "driver": {
                "name": "reconciler",
                "version": __version__,
                "rules": [
                    {"id": code, "shortDescription": {"text": CODES.get(code, code)}}
                    for code in codes
                ],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, codes) for item in items],
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _result(item: Diagnostic, codes: list[str]) -> Mapping[str, object]:
    result: dict[str, object] = {
        "ruleId": item.code,
        "ruleIndex": codes.index(item.code),
        "level": item.severity.value,
        "message": {"text": _sentence(item)},
    }
    if item.mark is not None:
        place = {
            "artifactLocation": {"uri": quote(item.mark.path, errors="replace")},
            "region": {"startLine": item.mark.line, "startColumn": item.mark.column},
        }
        result["locations"] = [{"physicalLocation": place}]
    return result


def junit(diagnostics: Iterable[Diagnostic]) -> str:
    """Write JUnit XML: a test case for each file with findings, one that passes for none."""
    by_path: dict[str, list[Diagnostic]] = {}
    for item in diagnostics:
        by_path.setdefault(clean(item.mark.path) if item.mark else "specs", []).append(item)
    failing = sum(any(item.is_error for item in items) for items in by_path.values())
    count = max(1, len(by_path))
    totals = {"name": "reconciler", "tests": str(count), "failures": str(failing)}
    suite = ET.Element("testsuite", {**totals, "errors": "0"})
    for path, items in by_path.items() or {"specs": []}.items():
        case = ET.SubElement(suite, "testcase", {"classname": "specs", "name": path})
        errors = [item for item in items if item.is_error]
        if errors:
            head = {"type": errors[0].code, "message": _sentence(errors[0])}
            failure = ET.SubElement(case, "failure", head)
            failure.text = "\n".join(_line(item) for item in errors)
        others = [item for item in items if not item.is_error]
        if others:
            ET.SubElement(case, "system-out").text = "\n".join(_line(item) for item in others)
    root = ET.Element("testsuites", totals)
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _line(item: Diagnostic) -> str:
    place = f"{clean(str(item.mark))}: " if item.mark else ""
    return f"{place}{item.severity.value}[{item.code}]: {_sentence(item)}"
