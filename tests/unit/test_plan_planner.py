"""What a plan says besides its changes: drift only, intent only, targets, order, cost."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from reconciler.plan.artifact import digest_of
from reconciler.plan.change import Action, Change, Only, Plan, Reason
from reconciler.plan.diff import remember
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.state import Desired, Observed, Recorded, World
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, Sealed
from tests.plan_worlds import TRAITS, address, short, world


def row(cron: str) -> dict[str, Any]:
    return {"row": {"cron": cron}}


def changed_and_drifted() -> World:
    """One resource changed in git, one drifted, one new, one vanished."""
    names = ("changed", "drifted", "vanished")
    return world(
        {
            "desired": {
                "Trigger/changed": row("new"),
                "Trigger/drifted": row("old"),
                "Trigger/vanished": row("old"),
                "Trigger/fresh": row("new"),
            },
            "recorded": {f"Trigger/{name}": {"payload": row("old")} for name in names},
            "observed": {
                "Trigger/changed": {"payload": row("old")},
                "Trigger/drifted": {"payload": row("hand")},
            },
        }
    )


def actions(plan: Plan) -> dict[str, Action]:
    return {short(c.address): c.action for c in plan.changes}


def only(change: Change | None) -> Change:
    assert change is not None
    return change


def test_a_repair_puts_back_what_drifted_and_applies_no_commit() -> None:
    plan = make_plan(changed_and_drifted(), TRAITS, PlanOptions(only=Only.DRIFT))

    assert actions(plan) == {"Trigger/drifted": Action.UPDATE, "Trigger/vanished": Action.CREATE}


def test_a_repair_goes_back_to_what_was_applied_though_git_moved_on() -> None:
    given = world(
        {
            "desired": {"Trigger/t": row("new")},
            "recorded": {"Trigger/t": {"payload": row("old")}},
            "observed": {"Trigger/t": {"payload": row("hand")}},
        }
    )

    plan = make_plan(given, TRAITS, PlanOptions(only=Only.DRIFT))

    desired = plan.changes[0].desired
    assert desired is not None
    assert desired.payload == row("old")


def test_a_repair_leaves_alone_what_is_no_longer_declared() -> None:
    drifted = Address("acme", "Trigger", "drifted")
    options = PlanOptions(only=Only.DRIFT, undeclared=frozenset({drifted}))
    plan = make_plan(changed_and_drifted(), TRAITS, options)

    assert actions(plan) == {"Trigger/vanished": Action.CREATE}
    assert [short(d.address) for d in plan.drift] == ["Trigger/vanished"]
    assert plan.undeclared == (drifted,)


def test_a_repair_leaves_an_interrupted_apply_to_the_next_apply() -> None:
    given = world(
        {
            "recorded": {"Trigger/t": {"payload": row("old"), "attempted": row("new")}},
            "observed": {"Trigger/t": {"payload": row("new")}},
        }
    )

    plan = make_plan(given, TRAITS, PlanOptions(only=Only.DRIFT))

    assert plan.is_empty
    assert plan.undeclared == ()


def test_intent_alone_leaves_drift_where_it_is() -> None:
    plan = make_plan(changed_and_drifted(), TRAITS, PlanOptions(only=Only.INTENT))

    assert actions(plan) == {"Trigger/changed": Action.UPDATE, "Trigger/fresh": Action.CREATE}
    assert [short(d.address) for d in plan.drift] == ["Trigger/drifted", "Trigger/vanished"]


def test_intent_alone_still_creates_what_a_new_resource_refers_to() -> None:
    given = world(
        {
            "desired": {
                "Credential/c": {"n8n": {"type": "x"}},
                "Automation/a": {"n8n": {"nodes": {"m": {"credential": {"$ref": "Credential/c"}}}}},
            },
            "recorded": {"Credential/c": {"object_id": "1", "payload": {"n8n": {"type": "x"}}}},
        }
    )

    plan = make_plan(given, TRAITS, PlanOptions(only=Only.INTENT))

    assert actions(plan)["Automation/a"] is Action.CREATE
    assert plan.changes[0].reason is Reason.VANISHED


def test_a_target_brings_what_it_refers_to_and_nothing_else() -> None:
    given = world(
        {
            "desired": {
                "Credential/c": {"n8n": {"type": "x"}},
                "Automation/a": {"n8n": {"nodes": {"m": {"credential": {"$ref": "Credential/c"}}}}},
                "Trigger/t": {"row": {"automation": {"$ref": "Automation/a", "side": "row"}}},
            }
        }
    )

    plan = make_plan(given, TRAITS, PlanOptions(targets=frozenset({address("Automation/a")})))

    assert list(actions(plan)) == ["Credential/c", "Automation/a"]


def test_the_order_of_the_documents_is_irrelevant() -> None:
    given = changed_and_drifted()
    turned = replace(
        given,
        desired=dict(list(given.desired.items())[::-1]),
        recorded=dict(list(given.recorded.items())[::-1]),
        observed=dict(list(given.observed.items())[::-1]),
    )

    assert make_plan(turned, TRAITS) == make_plan(given, TRAITS)
    assert digest_of(make_plan(turned, TRAITS)) == digest_of(make_plan(given, TRAITS))


def test_independent_changes_share_a_wave() -> None:
    given = world({"desired": {f"Trigger/t{n}": row("x") for n in range(5)}})

    assert [len(wave) for wave in make_plan(given, TRAITS).waves] == [5]


def test_a_resource_may_refer_to_itself() -> None:
    itself = {"row": {"self": {"$ref": "Automation/a", "side": "row"}}}

    plan = make_plan(world({"desired": {"Automation/a": itself}}), TRAITS)

    assert only(plan.changes[0]).needs == ()


def test_the_record_keeps_the_fingerprint_of_a_secret_that_is_unknown_here() -> None:
    unknown: Payload = {"n8n": {"data": {"token": Sealed("s", None)}, "list": [Sealed("t", None)]}}
    known: Payload = {"n8n": {"data": {"token": Sealed("s", "aaaa")}, "list": [Sealed("t", "bb")]}}

    assert remember(unknown, known) == known
    assert remember(unknown, {"n8n": {"data": {"token": Sealed("other", "cc")}}}) == unknown


def many(count: int) -> World:
    def payload() -> Payload:
        nodes: Payload = {
            f"node {n}": {"type": "set", "parameters": {"value": f"v{n}"}, "position": [n, n]}
            for n in range(12)
        }
        return {
            "row": {f"column{n}": n for n in range(15)},
            "n8n": {"nodes": nodes, "live": "draft", "archived": False},
        }

    addresses = [Address("acme", "Automation", f"a{n:04}") for n in range(count)]
    return World(
        desired={a: Desired(address=a, payload=payload()) for a in addresses},
        recorded={
            a: Recorded(address=a, row_id=a.name, payload=payload(), object_id=a.name)
            for a in addresses
        },
        observed={a: Observed(address=a, payload=payload(), object_id=a.name) for a in addresses},
        organizations=frozenset({"acme"}),
    )


def test_a_thousand_unchanged_resources_cost_next_to_nothing() -> None:
    given = many(1_000)

    took = []
    for _ in range(5):
        start = time.process_time()
        plan = make_plan(given, TRAITS)
        took.append(time.process_time() - start)

    assert plan.waves == ()
    assert len(plan.unchanged) == 1_000
    assert min(took) < 0.2, "about 0.015 s on an idle machine"


def interrupted_elsewhere() -> dict[str, Any]:
    """A credential replaced by a repair, and a workflow whose apply was interrupted that uses it."""
    uses = {"n8n": {"nodes": {"m": {"credential": {"$ref": "Credential/c"}}}}}
    return {
        "recorded": {
            "Credential/c": {"object_id": "1", "payload": {"n8n": {"type": "x"}}},
            "Automation/a": {"object_id": "2", "payload": uses, "attempted": uses},
        },
        "observed": {
            "Credential/c": {"object_id": "1", "payload": {"n8n": {"type": "by hand"}}},
            "Automation/a": {"object_id": "2", "payload": uses},
        },
    }


def test_a_repair_discards_nothing_that_an_interrupted_apply_still_refers_to() -> None:
    plan = make_plan(world(interrupted_elsewhere()), TRAITS, PlanOptions(only=Only.DRIFT))

    assert actions(plan) == {"Credential/c": Action.REPLACE}


def test_a_repair_never_removes_whatever_else_was_asked_for() -> None:
    options = PlanOptions(only=Only.DRIFT, prune=True)

    plan = make_plan(world(interrupted_elsewhere()), TRAITS, options)

    assert actions(plan) == {"Credential/c": Action.REPLACE}


def test_a_repair_waits_for_what_was_never_created() -> None:
    given = world(
        {
            "recorded": {
                "Credential/c": {"attempted": {"n8n": {"type": "x"}}},
                "Automation/a": {
                    "object_id": "2",
                    "payload": {"n8n": {"nodes": {"m": {"credential": {"$ref": "Credential/c"}}}}},
                },
            },
            "observed": {"Automation/a": {"object_id": "2", "payload": {"n8n": {"nodes": {}}}}},
        }
    )

    plan = make_plan(given, TRAITS, PlanOptions(only=Only.DRIFT))

    waits = "needs acme/Credential/c, whose apply was interrupted: apply first"
    assert [c.blocked for c in plan.changes] == [waits]


def test_intent_alone_brings_back_a_row_that_a_new_row_refers_to() -> None:
    given = world(
        {
            "desired": {
                "Automation/a": {"row": {"title": "A"}, "n8n": {"live": "draft"}},
                "Trigger/t": {"row": {"automation": {"$ref": "Automation/a", "side": "row"}}},
            },
            "recorded": {
                "Automation/a": {
                    "object_id": "1",
                    "payload": {"row": {"title": "A"}, "n8n": {"live": "draft"}},
                }
            },
            "observed": {"Automation/a": {"object_id": "1", "payload": {"n8n": {"live": "draft"}}}},
        }
    )

    plan = make_plan(given, TRAITS, PlanOptions(only=Only.INTENT))

    assert list(actions(plan)) == ["Automation/a", "Trigger/t"]


def test_intent_alone_still_applies_a_commit_to_what_was_deleted_by_hand() -> None:
    given = world(
        {
            "desired": {"Trigger/t": row("new")},
            "recorded": {"Trigger/t": {"payload": row("old")}},
        }
    )

    plan = make_plan(given, TRAITS, PlanOptions(only=Only.INTENT))

    assert actions(plan) == {"Trigger/t": Action.CREATE}
