"""What the filters of a trigger let through; their grammar is in `test_trigger_filters.py`."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger.events import DEFAULT_EVENTS, EVENT_TYPES, Heard, TriggerType, heard
from reconciler.trigger.match import MAX_SUBJECT, FilterFailed, compile_filter, filter_of

DOCUMENT = {
    "documentType": "invoice",
    "fileSize": 2048,
    "tags": ["urgent", "finance"],
    "customer": {"country": "DE", "vip": True, "orders": [{"id": 7}, {"id": 8}]},
    "name": "Rechnung Müller.pdf",
    "when": "2026-03-01T10:00:00Z",
    "nothing": None,
}


@pytest.mark.parametrize(
    "filters, expected",
    [
        ({"documentType": "invoice", "fileSize": {"lessThan": 10485760}, "tags": ["urgent"]}, True),
        ({"documentType": "contract"}, False), ({"tags": ["urgent", "finance"]}, True),
        ({"tags": ["urgent", "legal"]}, False), ({"tags": "urgent"}, False),
        ({"documentType": ["invoice"]}, False), ({"tags": {"contains": "finance"}}, True),
        ({"tags": {"contains": "fin"}}, False), ({"name": {"contains": "Müller"}}, True),
        ({"customer.country": {"in": ["DE", "AT"]}}, True), ({"customer.country": "CH"}, False),
        ({"customer.country": {"notIn": ["CH"]}}, True), ({"customer.city": {"notIn": ["X"]}}, True),
        ({"customer.city": {"in": ["X"]}}, False), ({"customer.city": {"notEquals": "X"}}, True),
        ({"customer.city": None}, False), ({"nothing": None}, True),
        ({"nothing": {"exists": True}}, True), ({"customer.city": {"exists": False}}, True),
        ({"customer.city": {"exists": True}}, False), ({"customer.orders.1.id": 8}, True),
        ({"customer.orders.2.id": {"exists": True}}, False), ({"customer.orders.id": 7}, False),
        ({"documentType.0": "i"}, False), ({"fileSize": 2048.0}, True), ({"fileSize": "2048"}, False),
        ({"customer.vip": True}, True), ({"customer.vip": 1}, False), ({"fileSize": True}, False),
        ({"fileSize": {"greaterThan": 2047, "lessThanOrEqual": 2048}}, True),
        ({"fileSize": {"greaterThanOrEqual": "2"}}, False), ({"customer.vip": {"lessThan": 2}}, False),
        ({"when": {"greaterThan": "2026-01-01"}}, True), ({"tags": {"lessThan": 3}}, False),
        ({"name": {"startsWith": "Rech", "endsWith": ".pdf"}}, True), ({"name": {"startsWith": "x"}}, False),
        ({"name": {"matches": "(?i)^RECHNUNG .*pdf$"}}, True), ({"fileSize": {"matches": "2"}}, False),
        ({"any": [{"fileSize": 1}, {"documentType": "invoice"}]}, True),
        ({"any": [{"fileSize": 1}, {"fileSize": 2}]}, False),
        ({"all": [{"fileSize": 2048}, {"documentType": "invoice"}]}, True),
        ({"not": {"documentType": "invoice"}}, False), ({"not": {"documentType": "x", "a": 1}}, True),
    ],
)  # fmt: skip
def test_the_table_of_conditions(filters: dict[str, Any], expected: bool) -> None:
    assert expected is compile_filter(filters)(DOCUMENT)


def test_no_filters_let_everything_pass() -> None:
    assert filter_of(None)({}) is compile_filter(None)({}) is True


@pytest.mark.parametrize(
    "text", ["{", "[" * 10_000, "[]", "{}", '{"a": {"near": 1}}', '{"a": {"matches": "("}}', "3"]
)
def test_what_is_no_filter_is_said_and_not_guessed(text: str) -> None:
    with pytest.raises(FilterFailed):
        filter_of(text)


def test_a_pattern_sees_a_bounded_text_and_takes_no_time() -> None:
    test = compile_filter({"a": {"matches": "(a+)+$"}})
    start = time.process_time()

    assert not test({"a": "a" * (MAX_SUBJECT - 1) + "!"})
    with pytest.raises(FilterFailed, match="longer than"):
        test({"a": "a" * (MAX_SUBJECT + 1)})

    assert time.process_time() - start < 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SCALAR = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@given(data=st.dictionaries(st.sampled_from("abc"), JSON, max_size=3), value=SCALAR)
def test_a_condition_and_its_opposite_never_agree(data: dict[str, Any], value: Any) -> None:
    for path in ("a", "b.c", "a.0"):
        same = compile_filter({path: {"equals": value}})(data)
        assert same is not compile_filter({path: {"notEquals": value}})(data)
        assert same is not compile_filter({"not": {path: value}})(data)
        assert same is compile_filter({path: {"in": [value]}})(data)


@pytest.mark.parametrize("type_", sorted(EVENT_TYPES))
def test_a_type_word_and_its_default_name_are_the_same_event(type_: TriggerType) -> None:
    assert heard(type_.value) == heard(DEFAULT_EVENTS[type_]) == Heard(DEFAULT_EVENTS[type_], type_)


def test_any_other_name_is_heard_whatever_the_type() -> None:
    assert heard("contract.signed") == Heard("contract.signed", None)


@pytest.mark.parametrize(
    "text",
    ["", "WEBHOOK", "schedule.due", "api.call", "SCHEDULE", "document", "Document.Uploaded", "a b", "x" * 200],
)  # fmt: skip
def test_what_is_no_event(text: str) -> None:
    with pytest.raises(ValueError, match=r"type|events"):
        heard(text)
