"""Workflow files: the gate in front of JSON, and where a value stands in it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.spec.jsonmarks import locate
from reconciler.spec.jsontext import parse_json


def found(text: str) -> list[str]:
    return [f"{item.mark} {item.code}" for item in parse_json(text, "a.json")[1]]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", "a.json:1:1 JSN101"),
        ("{\n  'a': 1}", "a.json:2:3 JSN101"),
        ('{"a": 1 "b": 2}', "a.json:1:9 JSN101"),
        ("[" * 100_000, "a.json:1:65 JSN102"),
        ('{"a":' * 100_000, "a.json:1:321 JSN102"),
        ('{"a": 1,\n "b": 2,\n "a": 3}', "a.json:3:2 JSN103"),
        ('{"a": NaN}', "a.json:1:7 JSN104"),
        ('{"a": -Infinity}', "a.json:1:7 JSN104"),
        ('{"a": 1e999}', "a.json:1:7 JSN104"),
        ('{"a": ' + "9" * 5000 + "}", "a.json:1:7 JSN104"),
        ('{"a": 9007199254740993}', "a.json:1:7 JSN104"),
        ('{"a": "x\\u0000"}', "a.json:1:9 JSN105"),
        ('{"a": "\\ud800"}', "a.json:1:8 JSN105"),
    ],
)
def test_json_that_others_could_not_keep_is_refused_at_its_place(text: str, expected: str) -> None:
    assert found(text) == [expected]


def test_every_key_that_stands_twice_is_reported() -> None:
    assert sorted(found('{"a": 1, "a": 2, "b": {"c": 1, "c": 2}}')) == [
        "a.json:1:10 JSN103", "a.json:1:32 JSN103",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ['{"a": "\\ud83d\\ude00"}', '{"a": "\\\\u0000"}', '{"a": "[[[["}', '"' + "\\" * 64 + '"'],
)
def test_what_only_looks_odd_is_read(text: str) -> None:
    value, problems = parse_json(text, "a.json")
    assert problems == []
    assert value == json.loads(text)


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 500_000, '["' * 200_000, '"' * 500_001, "\\" * 500_000]
)
def test_broken_texts_take_no_time(text: str) -> None:
    start = time.process_time()
    assert len(found(text)) == 1
    assert time.process_time() - start < 2


@given(st.text(max_size=100) | st.text(alphabet='[]{}",:\\u1e-. \n', max_size=60))
@settings(max_examples=120, deadline=None)
def test_no_text_makes_the_reader_fail(text: str) -> None:
    value, problems = parse_json(text, "a.json")
    locate(text, ("a", 0, "b"), file="a.json")
    if not problems:
        assert value == json.loads(text.removeprefix("\ufeff"))


_keys = st.text(max_size=6)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=20,
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    some = [(path, value)]
    if isinstance(value, dict):
        for key, item in value.items():
            some += paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            some += paths(item, (*path, index))
    return some


@given(_values, st.sampled_from([None, 2]), st.booleans())
@settings(max_examples=120, deadline=None)
def test_every_value_is_found_where_it_stands(value: Any, indent: int | None, ascii_: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    lines = text.split("\n")
    for path, item in paths(value):
        mark = locate(text, path, file="a.json")
        offset = sum(len(line) + 1 for line in lines[: mark.line - 1]) + mark.column - 1
        assert json.JSONDecoder().raw_decode(text, offset)[0] == item


def test_a_key_is_found_apart_from_its_value() -> None:
    text = '{"nodes": [\n  {"type": "x"}]}'
    assert str(locate(text, ("nodes", 0, "type"), file="a", key=True)) == "a:2:4"
    assert str(locate(text, ("nodes", 0, "type"), file="a")) == "a:2:12"


def test_a_way_that_leads_nowhere_ends_at_the_last_place_there_is() -> None:
    text = '{"nodes": [\n  {"type": "x"}]}'
    assert str(locate(text, ("nodes", 7), file="a")) == "a:1:11"
    assert str(locate(text, ("nodes", 0, "name", "x"), file="a")) == "a:2:3"
