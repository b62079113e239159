"""Removals that nobody may make by accident."""

from __future__ import annotations

from typing import Any

from reconciler.plan.change import Action, Guard, Plan
from reconciler.plan.guard import Policy, guard
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.state import World
from tests.plan_worlds import TRAITS, short, world

PRUNE = PlanOptions(prune=True)
ROW = {"row": {"cron": "0 9 * * *"}}


def with_triggers(kept: int, gone: int, **more: Any) -> World:
    names = [f"Trigger/t{n:02}" for n in range(kept + gone)]
    there = {name: {"payload": ROW, **more} for name in names}
    return world(
        {
            "desired": dict.fromkeys(names[:kept], ROW),
            "recorded": there,
            "observed": {name: {"payload": ROW} for name in names},
        }
    )


def guarded(given: World, policy: Policy | None = None) -> Plan:
    return guard(make_plan(given, TRAITS, PRUNE), given, policy)


def blocked(plan: Plan) -> dict[str, Guard | None]:
    return {short(c.address): c.guard for c in plan.changes if c.blocked is not None}


def test_a_few_removals_among_many_resources_pass() -> None:
    plan = guarded(with_triggers(kept=20, gone=5))

    assert not plan.refused
    assert plan.counts() == {"remove": 5}


def test_a_protected_resource_is_never_removed_not_even_with_an_allowance() -> None:
    given = with_triggers(kept=20, gone=1, protected=True)

    plan = guarded(given, Policy(allow_remove=5))

    assert plan.refused
    assert blocked(plan) == {"Trigger/t20": Guard.PROTECTED}


def test_more_than_a_fifth_of_an_organization_is_refused() -> None:
    plan = guarded(with_triggers(kept=7, gone=3))

    assert set(blocked(plan).values()) == {Guard.BUDGET}
    assert (
        plan.changes[0].blocked == "3 of the 10 resources of acme; allow it with `--allow-remove 3`"
    )


def test_exactly_a_fifth_passes() -> None:
    assert not guarded(with_triggers(kept=8, gone=2)).refused


def test_more_than_ten_removals_are_refused() -> None:
    plan = guarded(with_triggers(kept=100, gone=11))

    assert len(blocked(plan)) == 11
    assert plan.changes[0].blocked == "11 removals at once; allow them with `--allow-remove 11`"


def test_an_allowance_lifts_the_budget_up_to_its_number() -> None:
    given = with_triggers(kept=5, gone=15)

    assert not guarded(given, Policy(allow_remove=15)).refused
    assert len(blocked(guarded(given, Policy(allow_remove=14)))) == 15


def test_an_empty_spec_root_removes_nothing_whatever_was_allowed() -> None:
    plan = guarded(with_triggers(kept=0, gone=3), Policy(allow_remove=100))

    assert set(blocked(plan).values()) == {Guard.EMPTY}


def test_an_organization_without_specs_needs_an_allowance() -> None:
    given = {
        "desired": {"globex/Trigger/t": ROW},
        "recorded": {"Trigger/t": {"payload": ROW}, "globex/Trigger/t": {"payload": ROW}},
        "observed": {"Trigger/t": {"payload": ROW}, "globex/Trigger/t": {"payload": ROW}},
        "organizations": ["acme", "globex"],
    }

    assert blocked(guarded(world(given))) == {"Trigger/t": Guard.EMPTY}
    assert not guarded(world(given), Policy(allow_remove=1)).refused


def test_specs_that_could_not_be_read_remove_nothing() -> None:
    policy = Policy(allow_remove=100, unreadable="permission denied")

    plan = guarded(with_triggers(kept=20, gone=1), policy)

    assert blocked(plan) == {"Trigger/t20": Guard.UNREADABLE}
    assert "permission denied" in str(plan.changes[0].blocked)


def test_what_a_blocked_removal_refers_to_is_kept_as_well() -> None:
    nodes = {"n8n": {"nodes": {"m": {"credential": {"$ref": "Credential/c"}}}}}
    many = {f"Trigger/t{n:02}": ROW for n in range(30)}
    things = {"Credential/c": {"n8n": {"type": "x"}}, "Automation/a": nodes}
    given = world(
        {
            "desired": many,
            "recorded": {
                **{name: {"payload": ROW} for name in many},
                "Credential/c": {"object_id": "1", "payload": things["Credential/c"]},
                "Automation/a": {"object_id": "2", "protected": True, "payload": nodes},
            },
            "observed": {
                **{name: {"payload": ROW} for name in many},
                "Credential/c": {"object_id": "1", "payload": things["Credential/c"]},
                "Automation/a": {"object_id": "2", "payload": nodes},
            },
        }
    )

    plan = guarded(given)

    assert blocked(plan) == {"Automation/a": Guard.PROTECTED, "Credential/c": Guard.HELD}


def test_the_old_object_that_a_blocked_removal_refers_to_is_not_discarded() -> None:
    nodes = {"n8n": {"nodes": {"m": {"credential": {"$ref": "Credential/c"}}}}}
    given = world(
        {
            "desired": {"Credential/c": {"n8n": {"type": "new"}}},
            "recorded": {
                "Credential/c": {"object_id": "1", "payload": {"n8n": {"type": "old"}}},
                "Automation/a": {"object_id": "2", "protected": True, "payload": nodes},
            },
            "observed": {
                "Credential/c": {"object_id": "1", "payload": {"n8n": {"type": "old"}}},
                "Automation/a": {"object_id": "2", "payload": nodes},
            },
        }
    )

    before, after = make_plan(given, TRAITS, PRUNE), guarded(given)

    assert [c.action for c in before.changes] == [Action.REPLACE, Action.REMOVE, Action.DISCARD]
    assert [c.action for c in after.changes] == [Action.REPLACE, Action.REMOVE]
    assert after.changes[1].guard is Guard.PROTECTED
