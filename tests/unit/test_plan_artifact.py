"""A plan that is kept in a file: complete, checked, and refused when the world moved on."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import UsageError
from reconciler.plan.artifact import _digest, decode, digest_of, encode
from reconciler.plan.change import Change, Plan
from reconciler.plan.freshness import block, stale
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.state import Stamp, World
from reconciler.resource.address import Address
from tests.plan_worlds import TRAITS, address, short, world

GIVEN: dict[str, Any] = {
    "desired": {
        "Credential/c": {
            "n8n": {"type": "x", "data": {"t": {"$sealed": "s", "fingerprint": "bb"}}}
        },
        "Automation/a": {
            "n8n": {
                "nodes": {"m": {"credential": {"$ref": "Credential/c"}}, "n": None},
                "live": "draft",
            }
        },
        "Trigger/t": {"row": {"cron": "x"}},
    },
    "recorded": {
        "Credential/c": {
            "object_id": "1",
            "payload": {"n8n": {"type": "y", "data": {"t": {"$sealed": "s", "fingerprint": "aa"}}}},
        },
        "Automation/a": {"object_id": "2", "payload": {"n8n": {"nodes": {}, "live": "draft"}}},
        "Trigger/gone": {"payload": {"row": {"cron": "x"}}},
    },
    "observed": {
        "Credential/c": {"object_id": "1", "payload": {"n8n": {"type": "y"}}},
        "Automation/a": {
            "object_id": "2",
            "payload": {"n8n": {"nodes": {"hand": {"type": "z"}}, "live": "other", "theirs": 1}},
            "stamp": Stamp(version="v1", published="v0", updated_at="2026"),
        },
        "Trigger/gone": {"payload": {"row": {"cron": "x"}}},
    },
}
OPTIONS = PlanOptions(prune=True, revision="3f2c1ab")


def given() -> World:
    return world(GIVEN)


def plan() -> Plan:
    return make_plan(given(), TRAITS, OPTIONS)


def edited(**changes: Any) -> str:
    data = json.loads(encode(plan()))
    return json.dumps({**data, **changes})


def resealed(**changes: Any) -> str:
    """A document of another writer: changed, with a digest that fits."""
    data = {**json.loads(encode(plan())), **changes}
    body = {key: value for key, value in data.items() if key != "digest"}
    return json.dumps({**body, "digest": _digest(body)})


def test_a_plan_comes_back_from_its_file_as_it_was() -> None:
    assert decode(encode(plan())) == plan()


def test_the_digest_does_not_depend_on_when_or_in_which_order_the_plan_was_made() -> None:
    assert digest_of(plan()) == digest_of(plan())
    assert digest_of(decode(encode(plan()))) == digest_of(plan())


def test_another_plan_has_another_digest() -> None:
    other = make_plan(given(), TRAITS, replace(OPTIONS, prune=False))

    assert digest_of(other) != digest_of(plan())


def test_what_is_not_ours_is_not_in_the_file() -> None:
    assert "theirs" not in encode(plan())


def test_a_field_that_is_not_there_is_told_from_one_that_is_null() -> None:
    changes = json.loads(encode(plan()))["changes"]
    (change,) = (c for c in changes if c["address"] == "acme/Automation/a")
    fields = {tuple(f["path"]): f for f in change["fields"]}

    assert "before" not in fields["n8n", "nodes", "n"]
    assert fields["n8n", "nodes", "n"]["after"] is None


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"format_version": 1}', "null"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        decode(text)


def test_a_plan_that_was_edited_is_refused() -> None:
    with pytest.raises(UsageError, match="changed after it was written"):
        decode(edited(changes=[]))


def test_a_plan_of_another_major_version_is_refused() -> None:
    with pytest.raises(UsageError, match=r"format 2\.0"):
        decode(edited(format_version="2.0"))


def test_keys_of_a_later_minor_version_are_ignored() -> None:
    assert decode(resealed(format_version="1.7", weather="fine")) == plan()


@pytest.mark.parametrize("key", ["changes", "scope", "drift", "unchanged"])
@pytest.mark.parametrize("value", [None, 3, [{}], {"a": 1}, ["x"]])
def test_a_damaged_plan_is_refused(key: str, value: Any) -> None:
    with pytest.raises(UsageError, match="damaged"):
        decode(resealed(**{key: value}))


def test_a_plan_fits_the_world_it_was_made_for() -> None:
    assert stale(plan(), given(), TRAITS) == {}
    assert stale(decode(encode(plan())), given(), TRAITS) == {}


def moved_on(side: str, text: str, **changes: Any) -> World:
    """The world after one of its states changed for one resource."""
    now = given()
    states = dict(getattr(now, side))
    states[address(text)] = replace(states[address(text)], **changes)
    fields: dict[str, Any] = {side: states}
    return replace(now, **fields)


def test_a_changed_spec_makes_a_plan_stale_for_that_resource_only() -> None:
    now = moved_on("desired", "Trigger/t", payload={"row": {"cron": "y"}})

    assert stale(plan(), now, TRAITS) == {
        address("Trigger/t"): "its spec changed after the plan was made"
    }


def test_an_apply_in_between_makes_a_plan_stale() -> None:
    now = moved_on("recorded", "Credential/c", object_id="9")

    assert stale(plan(), now, TRAITS)[address("Credential/c")].startswith("it was applied")


def test_a_hand_edit_in_n8n_makes_a_plan_stale() -> None:
    now = moved_on("observed", "Automation/a", stamp=Stamp(version="v2", published="v0"))

    assert stale(plan(), now, TRAITS) == {
        address("Automation/a"): "it changed in n8n after the plan was made"
    }


def test_a_row_edited_by_hand_makes_a_plan_stale() -> None:
    now = moved_on("observed", "Trigger/gone", payload={"row": {"cron": "z"}})

    assert stale(plan(), now, TRAITS) == {
        address("Trigger/gone"): "its row changed in PostgreSQL after the plan was made"
    }


def test_what_n8n_changes_by_itself_makes_no_plan_stale() -> None:
    payload = {"n8n": {"nodes": {"hand": {"type": "z"}}, "live": "other", "theirs": 2}}
    touched = Stamp(version="v1", published="v0", updated_at="2027")

    now = moved_on("observed", "Automation/a", payload=payload, stamp=touched)

    assert stale(plan(), now, TRAITS) == {}


def test_a_removed_document_that_is_declared_again_makes_a_plan_stale() -> None:
    again = {**GIVEN["desired"], "Trigger/gone": {"row": {"cron": "x"}}}

    reasons = stale(plan(), world({**GIVEN, "desired": again}), TRAITS)

    assert reasons == {address("Trigger/gone"): "it is declared now"}


def test_what_needs_a_stale_resource_is_blocked_with_it() -> None:
    made = plan()
    reasons = {address("Credential/c"): "it changed in n8n after the plan was made"}

    blocked = {short(c.address): c.blocked for c in block(made, reasons).changes if c.blocked}

    assert blocked == {
        "Credential/c": "it changed in n8n after the plan was made",
        "Automation/a": "needs acme/Credential/c, which is blocked",
    }


def test_each_change_of_a_plan_has_a_key_of_its_own() -> None:
    changes: list[Change] = list(plan().changes)

    assert len({c.key for c in changes}) == len(changes)
    assert all(isinstance(c.address, Address) for c in changes)
