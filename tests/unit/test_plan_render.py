"""Runs tests/cases/render, and checks what holds for the text of every plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.plan.change import Plan
from reconciler.plan.diff import MISSING
from reconciler.plan.guard import guard
from reconciler.plan.planner import make_plan
from reconciler.plan.render import render
from reconciler.plan.words import clean, label, secret_change, shorten
from reconciler.resource.payload import Sealed
from tests.plan_worlds import TRAITS, options, world

FILE = Path(__file__).parents[1] / "cases" / "render" / "plan.yaml"
CASES = list(yaml.safe_load_all(FILE.read_text()))


def plan_of(case: dict[str, Any]) -> Plan:
    given = world(case["given"])
    return guard(make_plan(given, TRAITS, options(case.get("options", {}))), given)


cases = pytest.mark.parametrize(
    "case", [pytest.param(c, id=c["case"].replace(" ", "-")) for c in CASES]
)


@cases
def test_case(case: dict[str, Any]) -> None:
    assert render(plan_of(case)) == case["text"]


@cases
def test_every_line_fits_80_columns_and_prints(case: dict[str, Any]) -> None:
    lines = render(plan_of(case)).split("\n")

    assert all(len(line) <= 80 for line in lines)
    assert all(line.isprintable() for line in lines)


@cases
def test_colours_change_nothing_but_colour(case: dict[str, Any]) -> None:
    painted = render(
        plan_of(case), paint=lambda style, text: f"<{style}>{text}</>" if style else text
    )

    plain = painted.replace("</>", "")
    for style in ("heading", "create", "update", "remove", "blocked", "adopt", "move", "drift"):
        plain = plain.replace(f"<{style}>", "")
    for style in ("note", "added", "deleted", "summary"):
        plain = plain.replace(f"<{style}>", "")
    assert plain == render(plan_of(case))


def test_a_narrow_terminal_gets_narrow_lines() -> None:
    *lines, _, summary = render(plan_of(CASES[3]), width=50).split("\n")

    assert all(len(line) <= 50 for line in lines)
    assert summary.startswith("Plan: ")  # in one piece, for people who grep


@pytest.mark.parametrize(
    "text,expected",
    [
        ("plain", "plain"),
        ("Grüße 日本", "Grüße 日本"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb\n\tc", "a\\rb\\n\\tc"),
        ("a\u202eb\u2066c\u200bd", "a\\u202eb\\u2066c\\u200bd"),
        ("\x9b31m", "\\x9b31m"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize("width", [1, 2, 3, 5, 10, 26])
def test_shortening_keeps_both_ends_within_the_width(width: int) -> None:
    cut = shorten("abcdefghijklmnopqrstuvwxyz", width)

    assert len(cut) <= width
    assert cut == "abcdefghijklmnopqrstuvwxyz" if width == 26 else "…" in cut


@pytest.mark.parametrize(
    "before,after,expected",
    [
        ("3f9a11", "b21077", "(secret changed, fingerprint 3f9a -> b210)"),
        ("3f9a11", "3f9a22", "(secret changed, fingerprint 3f9a11 -> 3f9a22)"),
        ("3f9a11", None, "(secret changed, fingerprint 3f9a -> unknown)"),
        ("3f9a11", "3f9a11", "(secret written again, fingerprint 3f9a)"),
        (MISSING, "b21077", "(secret set, fingerprint b210)"),
        ("3f9a11", MISSING, "(secret removed, fingerprint 3f9a)"),
        (MISSING, MISSING, None),
    ],
)
def test_secrets_show_as_fingerprints(before: Any, after: Any, expected: str | None) -> None:
    name = "other" if after is None else "TOKEN"
    old, new = (
        leaf if leaf is MISSING else Sealed(name if leaf is None else "TOKEN", leaf)
        for leaf in (before, after)
    )

    assert secret_change(old, new) == expected


def test_keys_that_are_no_words_are_quoted_in_paths() -> None:
    assert label(("n8n", "nodes", "Send it", "a.b")) == 'n8n.nodes."Send it"."a.b"'
