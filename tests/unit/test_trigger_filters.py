"""The grammar of filters; the cases with their places are in ``tests/cases/spec``."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.trigger.events import DEFAULT_EVENTS, EVENT_TYPES, TriggerType, is_event_name
from reconciler.trigger.filters import MAX_CONDITIONS, MAX_PATTERN, OPERATORS, filter_problems


def codes(filters: object) -> list[str]:
    return [problem.code for problem in filter_problems(filters)]


@pytest.mark.parametrize(
    "filters",
    [
        {"documentType": "invoice", "fileSize": {"lessThan": 10485760}, "tags": ["urgent"]},
        {"customer.country": {"in": ["DE", "AT"], "notEquals": "CH"}},
        {"any": [{"a": 1}, {"not": {"b": {"exists": False}}}], "all": [{"c": None}]},
        {"name": {"matches": "^[A-Z]+$", "startsWith": "A", "endsWith": "Z", "contains": "B"}},
        {"when": {"greaterThanOrEqual": "2026-01-01", "lessThanOrEqual": "2026-12-31"}},
    ],
)
def test_good_filters(filters: object) -> None:
    assert codes(filters) == []


@pytest.mark.parametrize(
    "filters, expected",
    [
        (None, ["AUT107"]), ([], ["AUT107"]), ({}, ["AUT107"]), ({"a": {}}, ["AUT107"]),
        ({"a": {"b": 1}}, ["AUT106"]), ({"a": {"equals": [1]}}, ["AUT107"]), ({"": 1}, ["AUT107"]),
        ({"a..b": 1}, ["AUT107"]), ({"not": [{"a": 1}]}, ["AUT107"]), ({"any": []}, ["AUT107"]),
        ({"a": {"lessThan": True}}, ["AUT107"]), ({"a": {"matches": "("}}, ["AUT107"]),
        ({"a": {"matches": r"(a)\1"}}, ["AUT107"]), ({"a": {"matches": "x{100000}"}}, ["AUT107"]),
        ({"a": {"matches": "a" * (MAX_PATTERN + 1)}}, ["AUT107"]), ({"a": {"in": []}}, ["AUT107"]),
    ],
)  # fmt: skip
def test_bad_filters(filters: object, expected: list[str]) -> None:
    assert codes(filters) == expected


def test_conditions_and_nesting_are_bounded() -> None:
    assert codes({f"a{n}": 1 for n in range(MAX_CONDITIONS)}) == []
    assert codes({f"a{n}": 1 for n in range(MAX_CONDITIONS + 1)}) == ["AUT107"]
    nested: object = {"a": 1}
    for _ in range(40):
        nested = {"not": nested}
    assert codes(nested) == ["AUT107"]


def test_a_pattern_that_would_hang_other_engines_takes_no_time() -> None:
    start = time.process_time()
    assert codes({"a": {"matches": "(a+)+$"}, "b": {"matches": "(x+x+)+y"}}) == []
    assert time.process_time() - start < 1


_operand = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers())
_keys = st.sampled_from([*OPERATORS, "any", "all", "not", "a", "a.b", "x y"])
_filters = st.recursive(
    _operand, lambda inner: st.dictionaries(_keys, inner, max_size=3) | st.lists(inner, max_size=3)
)


@given(_filters)
@settings(max_examples=200, deadline=None)
def test_no_shape_of_a_filter_makes_the_check_fail(filters: object) -> None:
    for problem in filter_problems(filters):
        assert problem.code in {"AUT106", "AUT107"}


def test_every_type_has_an_event_of_its_own() -> None:
    assert DEFAULT_EVENTS.keys() == set(TriggerType)
    assert len(set(DEFAULT_EVENTS.values())) == len(TriggerType)
    assert all(is_event_name(name) for name in DEFAULT_EVENTS.values())
    assert len(EVENT_TYPES) == 7
    assert DEFAULT_EVENTS[TriggerType.DOCUMENT_UPLOADED] == "document.uploaded"


@pytest.mark.parametrize("name", ["", "a", "A.b", "a.", ".a", "a b.c", "a-b.c", "a." + "b" * 200])
def test_what_is_no_event_name(name: str) -> None:
    assert not is_event_name(name)
