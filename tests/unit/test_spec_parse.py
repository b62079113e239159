"""The gate in front of YAML: what costs too much is refused before it costs anything."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.spec import place as places
from reconciler.spec.parse import MAX_DEPTH, MAX_DOCUMENTS, MAX_FOUND, MAX_NODES, parse
from reconciler.spec.scalar import WrittenFloat, WrittenInt, as_written, plain


def codes(text: str) -> list[str]:
    return [item.code for item in parse(text, "a.yaml")[1]]


def value_of(text: str) -> Any:
    documents, found = parse(text, "a.yaml")
    assert found == []
    return documents[0].value


def bomb(levels: int, width: int) -> str:
    """A "billion laughs" text: each anchor holds the one before it *width* times."""
    lines = ["a0: &a0 [" + ", ".join(["x"] * width) + "]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "\n".join(" " * depth + "a:" for depth in range(1000)),
        "[" * 50_000 + "]" * 50_000,
    ],
    ids=["brackets", "braces", "dashes", "questions", "indentation", "closed brackets"],
)
def test_a_hundred_thousand_levels_are_one_error_and_take_no_time(text: str) -> None:
    start = time.process_time()
    documents, found = parse(text, "a.yaml")
    assert time.process_time() - start < 1
    assert documents == []
    assert [item.code for item in found] == ["YML102"]


def test_depth_up_to_the_limit_is_fine() -> None:
    assert codes("[" * MAX_DEPTH + "]" * MAX_DEPTH) == []
    assert codes("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) == ["YML102"]


@pytest.mark.parametrize("levels", [6, 9, 30])
def test_an_alias_bomb_is_refused_before_anything_is_built(levels: int) -> None:
    start = time.process_time()
    assert codes(bomb(levels, 9)) == ["YML103"]
    assert time.process_time() - start < 1


def test_a_few_aliases_are_fine() -> None:
    assert value_of(bomb(3, 3))["a2"] == [[["x"] * 3] * 3] * 3


def test_aliases_cannot_nest_deeper_than_brackets_may() -> None:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [[[[*a{n - 1}]]]]" for n in range(1, 30)]
    assert codes("\n".join(lines)) == ["YML102"]


def test_too_many_values_are_refused() -> None:
    assert codes("[" + "1," * (MAX_NODES - 1) + "]") == []
    assert codes("[" + "1," * MAX_NODES + "]") == ["YML103"]


def test_a_file_with_too_many_faults_or_documents_is_not_read_to_its_end() -> None:
    assert codes("a: 1\n" * 1000) == ["YML107"] * MAX_FOUND + ["YML113"]
    assert codes("---\na\n" * MAX_DOCUMENTS) == []
    assert codes("---\na\n" * (MAX_DOCUMENTS + 1)) == ["YML103"]


def test_the_limits_count_for_each_document() -> None:
    one = "[" + "1," * (MAX_NODES - 1) + "]\n"
    assert codes(f"---\n{one}---\n{one}") == []


def test_a_merge_key_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 12)]
    assert set(codes("\n".join(lines))) == {"YML105"}


def test_all_faults_of_a_file_are_reported_in_one_run() -> None:
    text = "a: !x 1\na: 2\nb: 1e999\n"
    assert codes(text) == ["YML106", "YML107", "YML110"]


@pytest.mark.parametrize(
    "word",
    [
        "no",
        "yes",
        "on",
        "off",
        "y",
        "n",
        "12:30:45",
        "0777",
        "1_000",
        "2026-01-01",
        "=",
        "0b1",
        "+",
    ],
)
def test_words_of_older_yaml_are_texts(word: str) -> None:
    assert value_of(f"a: {word}") == {"a": word}


@pytest.mark.parametrize(
    "word, value",
    [
        ("~", None), ("", None), ("null", None), ("true", True), ("FALSE", False), ("0", 0),
        ("-12", -12), ("+5", 5), ("0o17", 15), ("0x1F", 31), ("1.10", 1.1), (".5", 0.5),
        ("1e3", 1000.0), ("-0.0", 0.0), ("9007199254740992", 2**53),
    ],
)  # fmt: skip
def test_words_of_yaml_1_2_have_their_meaning(word: str, value: object) -> None:
    found = value_of(f"a: {word}")["a"]
    assert found == value
    assert type(plain(found)) is type(value)


def test_a_number_remembers_how_it_was_written() -> None:
    found = value_of("a: 1.10\nb: 0x1F\nc: 007\n")
    assert isinstance(found["a"], WrittenFloat)
    assert isinstance(found["b"], WrittenInt)
    assert [as_written(found[key]) for key in "abc"] == ["1.10", "0x1F", "007"]
    assert plain(found) == {"a": 1.1, "b": 31, "c": "007"}


def test_keys_are_texts_as_they_are_written() -> None:
    assert value_of("1: a\ntrue: b\non: c\n1.0: d\n") == {
        "1": "a",
        "true": "b",
        "on": "c",
        "1.0": "d",
    }


def test_every_value_and_key_has_its_place() -> None:
    text = "a: 1\nb:\n  - x\n  - {c: y,\n     d: [z]}\n"
    documents, _ = parse(text, "a.yaml")
    place = documents[0].place
    where = {
        path: str(places.mark("a.yaml", places.find(place, path)))
        for path in [(), ("a",), ("b", 0), ("b", 1), ("b", 1, "d"), ("b", 1, "d", 0)]
    }
    assert where == {
        (): "a.yaml:1:1",
        ("a",): "a.yaml:1:4",
        ("b", 0): "a.yaml:3:5",
        ("b", 1): "a.yaml:4:5",
        ("b", 1, "d"): "a.yaml:5:9",
        ("b", 1, "d", 0): "a.yaml:5:10",
    }
    key = places.find(place, ("b", 1, "d"), key=True)
    assert str(places.mark("a.yaml", key)) == "a.yaml:5:6"


def test_a_way_that_leads_nowhere_ends_at_the_last_place_there_is() -> None:
    documents, _ = parse("a: {b: [1]}\n", "a.yaml")
    at = places.find(documents[0].place, ("a", "b", 7, "x"))
    assert str(places.mark("a.yaml", at)) == "a.yaml:1:8"


def test_a_byte_order_mark_moves_no_column() -> None:
    documents, _ = parse("a: 1\n", "a.yaml")
    assert places.find(documents[0].place, ("a",)) == 3


@given(st.text(max_size=200))
@settings(max_examples=400, deadline=None)
def test_no_text_makes_the_parser_fail(text: str) -> None:
    documents, found = parse(text, "a.yaml")
    assert all(item.mark is not None and item.mark.line >= 1 for item in found)
    assert isinstance(documents, list)


@given(st.text(alphabet="ab:-[]{},&*!|>'\"#%@? \n\t1.~<", max_size=60))
@settings(max_examples=500, deadline=None)
def test_no_mixture_of_signs_makes_the_parser_fail(text: str) -> None:
    parse(text, "a.yaml")


_words = st.text(
    alphabet=st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=12
)
_scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _words
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=4)
)


@given(_values)
@settings(max_examples=150, deadline=None)
def test_json_is_read_as_json_reads_it(value: object) -> None:
    text = json.dumps({"value": value}, ensure_ascii=False)  # YAML knows no pairs of escapes
    assert plain(value_of(text)) == json.loads(text)


@given(_values)
@settings(max_examples=80, deadline=None)
def test_what_pyyaml_writes_in_quotes_is_read_back(value: object) -> None:
    text = yaml.safe_dump({"value": value}, default_style='"', allow_unicode=True)
    words = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - builds nothing but text
    documents, found = parse(text, "a.yaml")
    if not found:  # tags are refused, and that is what pyyaml writes for numbers here
        assert documents[0].value == words
    else:
        assert {item.code for item in found} <= {"YML106", "YML112"}
