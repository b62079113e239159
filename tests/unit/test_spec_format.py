"""`fmt`: one way to write a file, every comment kept, and never another meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.spec.format import format_text
from reconciler.spec.parse import parse

UNTIDY = """\
# yaml-language-server: $schema=../../../schemas/automation.schema.json

# about this file
kind: Automation   # the kind
# the version
apiVersion: reconciler/v1
spec:
    title: 1.10
    nothing: {a: , b: ~}
    active: yes      # really
        # about the triggers
    triggers:
    - name: x
      type: WEBHOOK


    # the second one
    - {name: mornings,   cron: "0 9 * * 1-5"}
    code: |
      a
        b   \n      # not a comment
    fold: >-
      x
      y
    at: 2001-12-14t21:59:43.10-05:00
    big: 0777
metadata:
    labels: {a: b}
    # its name
    name: x
---
kind: Trigger
apiVersion: reconciler/v1
"""
TIDY = """\
# yaml-language-server: $schema=../../../schemas/automation.schema.json

# about this file
# the version
apiVersion: reconciler/v1
kind: Automation   # the kind
metadata:
  # its name
  name: x
  labels: {a: b}
spec:
  title: 1.10
  nothing: {a: null, b: ~}
  active: yes        # really
  # about the triggers
  triggers:
    - name: x
      type: WEBHOOK


    # the second one
    - {name: mornings, cron: "0 9 * * 1-5"}
  code: |
    a
      b   \n    # not a comment
  fold: >-
    x
    y
  at: 2001-12-14t21:59:43.10-05:00
  big: 0777
---
apiVersion: reconciler/v1
kind: Trigger
"""


def formatted(text: str) -> str:
    result = format_text(text, "a.yaml")
    assert result.text is not None, result.diagnostics
    return result.text


def test_keys_get_their_order_and_lines_their_indentation() -> None:
    assert formatted(UNTIDY) == TIDY


def test_a_tidy_file_stays_as_it_is() -> None:
    assert formatted(TIDY) == TIDY


def test_the_modeline_stays_the_first_line() -> None:
    assert formatted(UNTIDY).splitlines()[0] == UNTIDY.splitlines()[0]


def test_a_file_that_is_not_yaml_is_left_alone_and_reported() -> None:
    result = format_text("a: [\n", "a.yaml")
    assert result.text is None
    assert [item.code for item in result.diagnostics] == ["YML101"]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_a_file_without_documents_stays_as_it_is(text: str) -> None:
    assert formatted(text) == text


@pytest.mark.parametrize(
    "before, after",
    [
        ("a: 1", "a: 1\n"),
        ("a:\r\n  - b\r\n", "a:\n  - b\n"),
        ("a:\n- b\n- c: d\n  e: f\n", "a:\n  - b\n  - c: d\n    e: f\n"),
        ("a: 1   \n", "a: 1\n"),
        ("a: &x {b: 1}\nc: *x\n", "a: &x {b: 1}\nc: *x\n"),
        ("a: 'it''s'\nb: \"x\\ty\"\n", "a: 'it''s'\nb: \"x\\ty\"\n"),
        ("---\na: 1\n", "---\na: 1\n"),
    ],
)
def test_small_files(before: str, after: str) -> None:
    assert formatted(before) == after


_word = st.sampled_from(
    ["a", "b", "on", "1.10", "0777", "12:30", "'q'", '"d q"', "~", "true", "x y", "*", "ü"]
).filter(lambda word: word != "*")
_key = st.sampled_from(["apiVersion", "kind", "metadata", "spec", "name", "labels", "z", "q q"])
_comment = st.sampled_from(["", "", "", "  # one", " # two #"])


@st.composite
def _mapping(draw: st.DrawFn, depth: int = 0, indent: str = "") -> str:
    lines = []
    step = draw(st.sampled_from(["  ", "    ", " "]))
    for key in draw(st.lists(_key, unique=True, min_size=1, max_size=4)):
        if draw(st.integers(0, 4)) == 0:
            lines.append(f"{indent}# about {key}\n")
        shape = draw(st.integers(0, 5 if depth < 3 else 2))
        if shape <= 1:
            lines.append(f"{indent}{key}: {draw(_word)}{draw(_comment)}\n")
        elif shape == 2:
            lines.append(f"{indent}{key}: {{{draw(_word)}: [{draw(_word)}, x]}}{draw(_comment)}\n")
        elif shape == 3:
            lines.append(f"{indent}{key}:{draw(_comment)}\n")
            lines.append(draw(_mapping(depth + 1, indent + step)))
        elif shape == 4:
            lines.append(
                f"{indent}{key}: |\n{indent}{step}text # no comment\n\n{indent}{step}  more\n"
            )
        else:
            items = draw(st.lists(_word, min_size=1, max_size=3))
            lines.append(f"{indent}{key}:\n")
            lines += [f"{indent}{step}- {item}{draw(_comment)}\n" for item in items]
    return "".join(lines)


@given(st.lists(_mapping(), min_size=1, max_size=3))
@settings(max_examples=80, deadline=None)
def test_formatting_is_stable_and_keeps_meaning_and_comments(documents: list[str]) -> None:
    text = "---\n".join(documents)
    result = format_text(text, "a.yaml")
    if result.text is None:  # the guard works; how often is another test's question
        assert [item.code for item in result.diagnostics] == ["FMT101"]
        return
    assert format_text(result.text, "a.yaml").text == result.text
    before, after = parse(text, "a.yaml")[0], parse(result.text, "a.yaml")[0]
    assert [item.value for item in before] == [item.value for item in after]
    assert sorted(re.findall("# .*", text)) == sorted(re.findall("# .*", result.text))


def test_the_formatter_rarely_gives_up() -> None:
    gave_up = 0
    total = 0

    @given(st.lists(_mapping(), min_size=1, max_size=2))
    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    def count(documents: list[str]) -> None:
        nonlocal gave_up, total
        total += 1
        gave_up += format_text("---\n".join(documents), "a.yaml").text is None

    count()
    assert gave_up <= total // 20, f"{gave_up} of {total}"


def test_our_own_specs_are_formatted() -> None:
    root = Path(__file__).parent.parent.parent / "specs"
    for path in sorted([*root.rglob("*.yaml"), *root.rglob("*.yml")]):
        text = path.read_text(encoding="utf-8")
        assert format_text(text, str(path)).text == text, path
