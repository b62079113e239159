"""Which renames are to be done, and which were done or never made sense."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.plan.moves import rename, settle_moves, under_former_names
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
    "declared, recorded, were, expected, stuck",
    [
        ("old", {"new": "1"}, {"1": "old"}, {"old": "new"}, ""),
        ("old", {"new": "1"}, {}, {}, ""),  # it had no other name
        ("other", {"new": "1"}, {"1": "old"}, {}, ""),  # neither is asked for
        ("a b", {"b": "1", "c": "2"}, {"1": "a", "2": "b"}, {"a": "b", "b": "c"}, ""),
        # They took each other's names by way of a third: nothing tells them apart.
        ("a b", {"a": "2", "b": "1"}, {"1": "a", "2": "b"}, {}, "a was b, b was a"),
        # Another one has the name now, or had the present one then.
        ("old", {"new": "1", "old": "2"}, {"1": "old"}, {}, "new was old"),
        ("old new", {"new": "1"}, {"1": "old"}, {}, "new was old"),
        ("new", {"new": "1"}, {"1": "old"}, {}, "new was old"),
    ],
)
def test_documents_take_over_the_records_that_they_mean(
    declared: str, recorded: dict[str, str], were: dict[str, str], expected: object, stuck: str
) -> None:
    given = {
        "desired": {f"Trigger/{name}": ROW for name in declared.split()},
        "recorded": {f"Trigger/{name}": {"row_id": row} for name, row in recorded.items()},
    }
    seen = world(given)
    names = {row: address(f"Trigger/{name}") for row, name in were.items()}

    renamed = under_former_names(seen.desired, seen.recorded, names)

    assert renamed.desired.keys() == seen.desired.keys()
    wanted = renamed.desired.items()
    assert {new.name: want.moved_from.name for new, want in wanted if want.moved_from} == expected
    assert ", ".join(f"{now.name} was {then.name}" for now, then in renamed.stuck) == stuck


@pytest.mark.parametrize("moved_from, expected", [("hallo", "hello"), ("elsewhere", "elsewhere")])
def test_a_rename_of_what_was_renamed_back_means_the_same_record(
    moved_from: str, expected: str
) -> None:
    given = {
        "desired": {"Trigger/halo": {**ROW, "moved_from": f"Trigger/{moved_from}"}},
        "recorded": {"Trigger/hello": {"row_id": "1"}},
    }
    seen = world(given)

    renamed = under_former_names(seen.desired, seen.recorded, {"1": address("Trigger/hallo")})

    assert renamed.desired[address("Trigger/halo")].moved_from == address(f"Trigger/{expected}")
    assert renamed.stuck == ()
