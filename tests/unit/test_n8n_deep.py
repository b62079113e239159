"""JSON that is nested deeper than Python's reader goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.n8n.answers import Answer, Call, read
from reconciler.n8n.deep import LEVELS, read_deep

NOW = datetime(2026, 1, 1, tzinfo=UTC)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)


@given(VALUES)
def test_what_is_not_deep_is_read_as_it_is(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(text) == read_deep(text.encode())


@pytest.mark.parametrize("depth", [LEVELS + 1, 3000, 100_000])
@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a": ', "}")])
def test_what_is_too_deep_is_cut_and_what_is_beside_it_is_kept(
    depth: int, opening: str, closing: str
) -> None:
    deep = f"{opening * depth}1{closing * depth}"
    text = f'{{"data": [{{"a": "]}}\\"["}}, {deep}, {{"b": 2}}], "next": null}}'
    value: Any = read_deep(text.encode())

    assert [{"a": ']}"['}, {"b": 2}] == [value["data"][0], value["data"][2]]
    assert value["next"] is None
    level = 0
    inner = value["data"][1]
    while not isinstance(inner, str):
        inner, level = inner["a"] if isinstance(inner, dict) else inner[0], level + 1
    assert ("[nested too deeply]", LEVELS - 2) == (inner, level)


@pytest.mark.parametrize("text", ["[" * 5000, "[" * 5000 + "}" * 5000 + "x", '"' + "[" * 5000])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        read_deep(text.encode())


def test_a_deep_row_does_not_hide_the_others_of_its_listing() -> None:
    deep = "[" * 5000 + "]" * 5000
    content = f'{{"data": [{{"id": 1, "data": {deep}}}, {{"id": 2}}]}}'.encode()
    answer = Answer(200, {}, content)

    rows: Any = read(Call(method="GET", path="/executions"), answer, NOW)["data"]

    assert [1, 2] == [row["id"] for row in rows]
