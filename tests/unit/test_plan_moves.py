"""Which renames are to be done, and which were done or never made sense."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.plan.moves import back, rename, settle_moves
from reconciler.plan.order import layers
from reconciler.resource.payload import Payload, Ref, Side
from tests.plan_worlds import address, short, world

ROW: dict[str, Any] = {"row": {"cron": "x"}}


def moves(declared: dict[str, str | None], recorded: str) -> dict[str, str]:
    """Settle renames among triggers: *declared* maps each to its old name."""
    desired = {
        f"Trigger/{new}": {**ROW, **({"moved_from": f"Trigger/{old}"} if old else {})}
        for new, old in declared.items()
    }
    given = {"desired": desired, "recorded": {f"Trigger/{name}": {} for name in recorded}}
    found = settle_moves(world(given))
    return {short(new).split("/")[1]: short(old).split("/")[1] for new, old in found.items()}


@pytest.mark.parametrize(
    "declared,recorded,expected",
    [
        pytest.param({"b": "a"}, "a", {"b": "a"}, id="a rename to do"),
        pytest.param({"b": "a"}, "b", {}, id="done before"),
        pytest.param({"b": "a"}, "", {}, id="never recorded"),
        pytest.param({"b": "a"}, "ab", {}, id="both are there"),
        pytest.param({"a": None, "b": "a"}, "a", {}, id="the old one is still declared"),
        pytest.param({"a": "a"}, "a", {}, id="from itself"),
        pytest.param({"b": "a", "c": "b"}, "ab", {"b": "a", "c": "b"}, id="a chain"),
        pytest.param({"b": "a", "c": "b"}, "ac", {"b": "a"}, id="the rest of a chain"),
        pytest.param({"a": "b", "b": "a"}, "ab", {}, id="a swap"),
        pytest.param({"a": "b", "b": "c", "c": "a"}, "abc", {}, id="a ring"),
        pytest.param({"b": "a", "c": "a"}, "a", {"b": "a"}, id="two want the same record"),
    ],
)
def test_renames(declared: dict[str, str | None], recorded: str, expected: dict[str, str]) -> None:
    assert moves(declared, recorded) == expected


def test_a_rename_across_kinds_or_organizations_is_none() -> None:
    desired = {"Trigger/a": {**ROW, "moved_from": "Automation/a"}}
    other = {"Trigger/a": {**ROW, "moved_from": "globex/Trigger/b"}}

    assert settle_moves(world({"desired": desired, "recorded": {"Automation/a": {}}})) == {}
    assert settle_moves(world({"desired": other, "recorded": {"globex/Trigger/b": {}}})) == {}


def test_references_follow_a_rename_wherever_they_are() -> None:
    old, new, other = (address(f"Automation/{name}") for name in ("old", "new", "other"))
    payload: Payload = {
        "row": {"list": [Ref(old, Side.ROW), {"deep": Ref(old)}], "keep": Ref(other)}
    }

    assert rename(payload, {old: new}) == {
        "row": {"list": [Ref(new, Side.ROW), {"deep": Ref(new)}], "keep": Ref(other)}
    }
    assert rename(payload, {}) is payload


def test_layers_put_what_is_needed_first() -> None:
    assert list(layers({"c": {"b"}, "b": {"a"}, "a": set(), "x": {"elsewhere"}})) == [
        ["a", "x"],
        ["b"],
        ["c"],
    ]


def test_a_cycle_is_cut_at_its_first_node() -> None:
    assert list(layers({"b": {"a"}, "a": {"b"}, "c": {"b"}})) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize(
    "declared, recorded, former, expected",
    [
        ("old", {"new": "1"}, {"1": ["old"]}, {"old": "new"}),
        ("oldest", {"new": "1"}, {"1": ["old", "oldest"]}, {"oldest": "new"}),
        ("old oldest", {"new": "1"}, {"1": ["old", "oldest"]}, {"old": "new"}),
        ("old new", {"new": "1"}, {"1": ["old"]}, {}),  # both are asked for
        ("old", {"new": "1", "old": "2"}, {"1": ["old"]}, {}),  # another one has the name now
        ("old", {"new": "1"}, {}, {}),  # it never had another name
        ("old", {"a": "1", "b": "2"}, {"1": ["old"], "2": ["old"]}, {"old": "a"}),
    ],
)
def test_earlier_specs_take_over_what_was_renamed_since(
    declared: str,
    recorded: dict[str, str],
    former: dict[str, list[str]],
    expected: dict[str, str],
) -> None:
    given = {
        "desired": {f"Trigger/{name}": ROW for name in declared.split()},
        "recorded": {f"Trigger/{name}": {"row_id": row} for name, row in recorded.items()},
    }
    seen = world(given)
    names = {row: [address(f"Trigger/{name}") for name in old] for row, old in former.items()}

    desired = back(seen.desired, seen.recorded, names)

    assert desired.keys() == seen.desired.keys()
    taken = {new.name: want.moved_from.name for new, want in desired.items() if want.moved_from}
    assert taken == expected
