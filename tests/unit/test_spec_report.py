"""Diagnostics as people and programs see them."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.diagnostics import Diagnostic, Mark, Severity
from reconciler.spec.report import FORMATS, render, summary, text
from reconciler.spec.visible import clean

TEXTS = {"specs/a.yaml": "a: 1\n  zone: Europe/Berln, b: 2\n"}
ZONE = Diagnostic(
    Severity.ERROR,
    "AUT104",
    'unknown time zone "Europe/Berln"',
    Mark("specs/a.yaml", 2, 9),
    'did you mean "Europe/Berlin"?',
)
AGE = Diagnostic(Severity.WARNING, "CRE104", "cannot be decrypted", Mark("specs/b.yaml", 7, 1))
ROOT = Diagnostic(Severity.ERROR, "FIL113", "the spec root is not there")
ALL = (ZONE, AGE, ROOT)


def test_an_error_looks_like_a_compilers() -> None:
    assert text([ZONE], TEXTS) == (
        'specs/a.yaml:2:9: error[AUT104]: unknown time zone "Europe/Berln"\n'
        "    2 |   zone: Europe/Berln, b: 2\n"
        "      |         ^^^^^^^^^^^^\n"
        '  help: did you mean "Europe/Berlin"?\n'
    )


def test_without_a_text_or_a_place_there_is_no_excerpt() -> None:
    assert text([AGE, ROOT], TEXTS) == (
        "specs/b.yaml:7:1: warning[CRE104]: cannot be decrypted\n\n"
        "error[FIL113]: the spec root is not there\n"
    )


def test_colour_adds_escapes_and_changes_no_word() -> None:
    coloured = text(ALL, TEXTS, colour=True)
    plain = coloured
    for code in ("\x1b[1;31m", "\x1b[1;33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"):
        assert code in coloured
        plain = plain.replace(code, "")
    assert plain == text(ALL, TEXTS)


def test_the_caret_stands_below_wide_characters_too() -> None:
    texts = {"a.yaml": "{名前: x, zone: y}\n"}
    item = Diagnostic(Severity.ERROR, "AUT104", "wrong", Mark("a.yaml", 1, 15))
    excerpt, carets = text([item], texts).splitlines()[1:3]
    assert excerpt.endswith("{名前: x, zone: y}")
    # two characters of two columns each stand before the mark
    assert carets.index("^") == excerpt.index("y}") + 2


def test_a_long_line_is_cut_around_the_mark() -> None:
    texts = {"a.yaml": "x" * 5000 + " here " + "y" * 5000}
    item = Diagnostic(Severity.ERROR, "AUT104", "wrong", Mark("a.yaml", 1, 5002))
    lines = text([item], texts).splitlines()
    assert "here" in lines[1]
    assert lines[2].index("^") == lines[1].index("here")
    assert all(len(line) < 130 for line in lines)


@pytest.mark.parametrize(
    "line, column, code, shown",
    [
        ("  password: hunter2", 3, "SPE102", "  password: [hidden]"),
        ("  apiKey: hunter2 # note", 11, "SPE104", "  apiKey: [hidden]"),
        ("  x: hunter2", 6, "CRE101", "  x: [hidden]"),
        ("  x: hunter2", 3, "CRE101", "  x: [hidden]"),
        ("{a: 1, token: hunter2, b: 2}", 2, "SPE102", "{a: 1, token: [hidden]"),
        ("{a: 1, token: hunter2, b: 2}", 24, "SPE102", "{a: 1, token: [hidden]"),
        ('"secret": "hunter2"', 1, "YML101", '"secret": [hidden]'),
        ("secretRef: {env: NAME}", 13, "SPE102", "secretRef: {env: NAME}"),
        ("https://user:hunter2@example.com", 1, "SPE104", "[hidden]example.com"),
    ],
)
def test_an_excerpt_never_shows_a_secret(line: str, column: int, code: str, shown: str) -> None:
    item = Diagnostic(Severity.ERROR, code, "wrong", Mark("a.yaml", 1, column))
    made = text([item], {"a.yaml": line})
    assert "hunter2" not in made
    assert made.splitlines()[1] == f"    1 | {shown}"


def test_the_summary_counts_by_severity() -> None:
    assert summary(ALL) == "2 errors, 1 warning"
    assert summary([ZONE]) == "1 error"
    assert summary([]) == ""


def test_json_is_one_versioned_document() -> None:
    document = json.loads(render(ALL, TEXTS, "json"))
    assert (document["version"], document["errors"], document["warnings"]) == ("1.0", 2, 1)
    assert document["diagnostics"][0] == {
        "severity": "error",
        "code": "AUT104",
        "message": 'unknown time zone "Europe/Berln"',
        "hint": 'did you mean "Europe/Berlin"?',
        "path": "specs/a.yaml",
        "line": 2,
        "column": 9,
    }
    assert document["diagnostics"][2]["path"] is None


def test_github_annotates_the_line() -> None:
    odd = Diagnostic(Severity.NOTE, "X1", "50% a\nb", Mark("a,b:c.yaml", 1, 2))
    assert render([*ALL, odd], TEXTS, "github") == (
        "::error file=specs/a.yaml,line=2,col=9,title=AUT104::"
        'unknown time zone "Europe/Berln" (help: did you mean "Europe/Berlin"?)\n'
        "::warning file=specs/b.yaml,line=7,col=1,title=CRE104::cannot be decrypted\n"
        "::error title=FIL113::the spec root is not there\n"
        "::notice file=a%2Cb%3Ac.yaml,line=1,col=2,title=X1::50%25 a\\nb\n"
    )


def test_gitlab_fingerprints_are_unique_and_survive_a_shift_of_lines() -> None:
    moved = Diagnostic(ZONE.severity, ZONE.code, ZONE.message, Mark("specs/a.yaml", 99, 1))
    first = json.loads(render([ZONE, ZONE, AGE], TEXTS, "gitlab"))
    second = json.loads(render([moved, moved, AGE], TEXTS, "gitlab"))
    prints = [issue["fingerprint"] for issue in first]
    assert len(set(prints)) == 3
    assert prints == [issue["fingerprint"] for issue in second]
    assert first[0]["location"] == {"path": "specs/a.yaml", "lines": {"begin": 2}}
    assert [issue["severity"] for issue in first] == ["major", "major", "minor"]


def test_sarif_names_its_rules_and_places() -> None:
    document = json.loads(render(ALL, TEXTS, "sarif"))
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert document["version"] == "2.1.0"
    assert [rule["id"] for rule in rules] == ["AUT104", "CRE104", "FIL113"]
    assert rules[0]["shortDescription"]["text"] == "A time zone is unknown."
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "specs/a.yaml"},
        "region": {"startLine": 2, "startColumn": 9},
    }
    assert "locations" not in run["results"][2]


def test_junit_has_a_case_for_each_file() -> None:
    root = ET.fromstring(render(ALL, TEXTS, "junit"))  # noqa: S314 - our own text
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert cases.keys() == {"specs/a.yaml", "specs/b.yaml", "specs"}
    assert (root.get("tests"), root.get("failures")) == ("3", "2")
    assert cases["specs/a.yaml"].find("failure") is not None
    assert cases["specs/b.yaml"].find("failure") is None
    (passing,) = ET.fromstring(render([], TEXTS, "junit")).iter("testcase")  # noqa: S314 - our own text
    assert passing.find("failure") is None


_nasty = st.text(max_size=40) | st.text(
    alphabet="\x1b[31m\x07\x9b\u202e\u2066\0\r\n\ud800%:,<&", max_size=20
)


@given(_nasty, _nasty, _nasty, _nasty, st.integers(1, 3), st.integers(1, 50))
@settings(max_examples=120, deadline=None)
def test_no_character_of_a_file_acts_on_a_terminal_or_breaks_a_format(
    path: str, message: str, hint: str, content: str, line: int, column: int
) -> None:
    item = Diagnostic(Severity.ERROR, "SPE102", message, Mark(path, line, column), hint)
    for form in FORMATS:
        made = render([item], {path: content}, form)
        made.encode()
        assert not any(clean(c) != c for c in made if c != "\n")
        if form in {"json", "gitlab", "sarif"}:
            json.loads(made)
        elif form == "junit":
            ET.fromstring(made)  # noqa: S314 - our own text
        elif form == "github":
            assert made.count("\n") == 1


@pytest.mark.parametrize(
    "character", ["\x00", "\x1b", "\x7f", "\x85", "\u200b", "\u202e", "\u2066", "\ud800", "\ufeff"]
)
def test_active_and_invisible_characters_become_escapes(character: str) -> None:
    assert clean(f"a{character}b").isascii()
    assert clean("grüße 名前 👍") == "grüße 名前 👍"
