"""A repair waits for what an interrupted apply left half done."""

from __future__ import annotations

from reconciler.plan.change import Only
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.state import Observed, Recorded, World
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, Ref
from tests.plan_worlds import TRAITS

CREDENTIAL = Address("acme", "Credential", "a")
AUTOMATION = Address("acme", "Automation", "c")


def test_nothing_is_bound_to_a_successor_whose_id_an_interrupted_apply_did_not_record() -> None:
    before: Payload = {"n8n": {"type": "slack"}}
    after: Payload = {"n8n": {"type": "smtp"}}
    using: Payload = {"n8n": {"nodes": {"use": {"credential": Ref(CREDENTIAL)}}}}
    stale: Payload = {"n8n": {"nodes": {"use": {"credential": Ref(CREDENTIAL, stale=True)}}}}
    world = World(
        desired={},
        recorded={
            CREDENTIAL: Recorded(
                address=CREDENTIAL, row_id="r1", payload=before, attempted=after, deposed=("old",)
            ),
            AUTOMATION: Recorded(address=AUTOMATION, row_id="r2", payload=using, object_id="w"),
        },
        observed={
            CREDENTIAL: Observed(address=CREDENTIAL, payload=after, object_id="new"),
            AUTOMATION: Observed(address=AUTOMATION, payload=stale, object_id="w"),
        },
        organizations=frozenset({"acme"}),
    )

    plan = make_plan(world, TRAITS, PlanOptions(only=Only.DRIFT))

    assert [] == [c.address for c in plan.shown if c.blocked is None]
