"""The gate for JSON that strangers send."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger.jsonbody import MAX_DEPTH, BadJson, read_json
from tests.unit.test_trigger_match import JSON


@given(JSON)
def test_what_is_json_comes_back_as_it_was(value: Any) -> None:
    text = json.dumps(value)
    if "\\u0000" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        return
    assert value == read_json(text) == read_json(text.encode())


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_anything_else_is_refused_in_one_way(body: bytes) -> None:
    try:
        value = read_json(body)
    except BadJson:
        return
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000, b"9" * 5000, b"NaN", b"-Infinity", b"1e999", b'"\\ud800"', b'"a\\u0000b"',
        b"\xff", '{"a": 1}'.encode("utf-16"), b"", b"{", b"{'a': 1}", b'{"a\\u0000": 1}', b'"\x00"',
        (b'{"a":' * (MAX_DEPTH + 1)) + b"1" + b"}" * (MAX_DEPTH + 1), b"1." + b"1" * 5000 + b"e400",
    ],
)  # fmt: skip
def test_hostile_bodies_are_refused_at_once(body: bytes) -> None:
    start = time.process_time()
    with pytest.raises(BadJson):
        read_json(body)
    assert time.process_time() - start < 0.5


def test_what_looks_hostile_and_is_not() -> None:
    assert read_json(b"\xef\xbb\xbf{}") == {}
    assert read_json(b'"\\\\u0000"') == "\\u0000"
    assert read_json(b'"' + b"[" * 1000 + b'"') == "[" * 1000
    assert read_json(b"[" + b"[],{}," * 500 + b"1]") is not None
    assert read_json(b'"\\ud83d\\ude00"') == "😀"
    assert math.isclose(read_json(b"1e308"), 1e308)  # type: ignore[arg-type]


def test_a_message_never_repeats_the_body() -> None:
    for body in (b'{"password": hunter2}', b'{"a": "hunter2', b'["hunter2", NaN]'):
        with pytest.raises(BadJson) as caught:
            read_json(body)
        assert "hunter2" not in str(caught.value)
