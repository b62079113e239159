"""Differences between workflows, in the words of their authors."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.resource.address import Address
from reconciler.resource.payload import Ref, Sealed
from reconciler.workflow.diff import (
    CodeDiff,
    NodeChange,
    changed_fields,
    code_diff,
    is_code,
    lines_changed,
    node_changes,
    text_diff,
)

A: dict[str, Any] = {"type": "set", "position": [0, 0], "parameters": {"x": 1}}


def test_nothing_changed_is_nothing() -> None:
    assert node_changes({"A": A}, {"A": dict(A)}) == ()


def test_added_and_removed_nodes_go_by_name() -> None:
    other = {**A, "type": "noOp"}

    assert node_changes({"A": A}, {"B": other}) == (
        NodeChange(name="A", change="removed"),
        NodeChange(name="B", change="added"),
    )


def test_a_node_that_only_moved_is_told_apart() -> None:
    moved = {**A, "position": [5, 0]}
    both = {**moved, "parameters": {"x": 2}}

    assert node_changes({"A": A}, {"A": moved}) == (
        NodeChange(name="A", change="moved", fields=(("position",),)),
    )
    assert node_changes({"A": A}, {"A": both}) == (
        NodeChange(name="A", change="changed", fields=(("parameters", "x"), ("position",))),
    )


def test_a_node_with_only_a_new_name_is_renamed_even_when_it_moved() -> None:
    assert node_changes({"A": A}, {"B": {**A, "position": [9, 9]}}) == (
        NodeChange(name="B", change="renamed", was="A"),
    )


def test_each_old_node_is_the_origin_of_one_new_node_at_most() -> None:
    changes = node_changes({"A": A}, {"B": dict(A), "C": dict(A)})

    assert [(one.name, one.change) for one in changes] == [("B", "renamed"), ("C", "added")]


def test_fields_that_hold_references_can_be_compared() -> None:
    one, two = Ref(Address("a", "Credential", "b")), Sealed("x", "y")

    assert changed_fields({"c": one, "d": two}, {"c": two, "d": two}) == (("c",),)
    assert changed_fields({"c": None}, {}) == (("c",),)
    assert changed_fields({"p": {}}, {"p": {"q": 1}}) == (("p", "q"),)


def test_changed_code_is_a_unified_diff() -> None:
    old: Any = {"parameters": {"jsCode": "a\nb\nc\n", "x": 1}}
    new: Any = {"parameters": {"jsCode": "a\nB\nc\n", "x": 2}}

    (diff,) = code_diff(old, new)

    assert diff == CodeDiff(
        path=("parameters", "jsCode"), lines=("@@ -1,3 +1,3 @@", " a", "-b", "+B", " c")
    )
    assert lines_changed(diff) == (1, 1)


def test_code_that_came_or_went_is_all_plus_or_all_minus() -> None:
    text = "one\ntwo"

    assert text_diff("", text)[1:] == ("+one", "+two")
    assert text_diff(text, "")[1:] == ("-one", "-two")
    assert text_diff(text, text) == ()


def test_a_difference_in_line_ends_alone_is_said() -> None:
    assert text_diff("a\r\nb", "a\nb") == ("@@ only the ends of lines differ @@",)


@pytest.mark.parametrize(
    "path, old, new, expected",
    [
        (("jsCode",), "a\nb", "a", True),
        (("jsCode",), "a", "b", False),
        (("query",), "select 1 from some_table where x = 1 and y = 2", "", True),
        (("url",), "https://x.example", "https://y.example", False),
        (("anything",), "x" * 100, None, True),
        (("anything",), "x\ny", 3, False),
        ((), None, 3, False),
    ],
)
def test_long_texts_and_code_are_shown_line_by_line(
    path: tuple[str, ...], old: Any, new: Any, expected: bool
) -> None:
    assert is_code(path, old, new) is expected
