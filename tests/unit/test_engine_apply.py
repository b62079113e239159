"""Applying a plan, one difficulty at a time; histories of all of them are in tests/properties."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from reconciler.engine.outcome import Report, State
from reconciler.errors import (
    ExitCode,
    LiveChanged,
    LockHeld,
    N8nInvalid,
    N8nUnreachable,
)
from reconciler.plan.change import Action, Reason
from reconciler.resource.address import Address
from reconciler.resource.payload import references
from reconciler.spec.link import Resource
from tests.doubles.engine_rig import EngineRig, resources
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fate import Blow, Fate, SkippingLoop, mortal
from tests.properties.engine_specs import node

OPS = "ops@acme.example"
ORGANIZATION = resources("acme", "Organization", "acme", {"title": "Acme"})
HOME, KEY, FLOW, OTHER = (
    Address("acme", kind, name)
    for kind, name in (
        ("Organization", "acme"),
        ("Credential", "key"),
        ("Automation", "flow"),
        ("Automation", "other"),
    )
)


def credential(
    name: str = "key", n8n_type: str = "httpHeaderAuth", moved_from: str | None = None
) -> tuple[Resource, ...]:
    secret = {"secretRef": {"env": "S1"}}
    basic = {"user": "kim", "password": secret}
    data = basic if n8n_type == "httpBasicAuth" else {"name": "X-Key", "value": secret}
    spec = {"provider": "OTHER", "owner": OPS, "title": "Key", "n8nType": n8n_type, "data": data}
    return resources("acme", "Credential", name, spec, moved_from)


def automation(
    name: str = "flow",
    *,
    key: str | None = "key",
    n8n_type: str = "httpHeaderAuth",
    entry: str = "managed",
    step: str = "noOp",
) -> tuple[Resource, ...]:
    parameters = {
        "url": "https://service.example",
        "authentication": "genericCredentialType",
        "genericAuthType": n8n_type,
    }
    hook = {"path": f"{name}-hook", "httpMethod": "POST"}
    nodes = [node("Start", "webhook", hook, typeVersion=2), node("Step", step, {})]
    workflow: dict[str, Any] = {"entry": entry}
    if key:
        nodes.append(node("Fetch", "httpRequest", parameters, typeVersion=4.2))
        workflow["credentials"] = {n8n_type: key}
    names = [item["name"] for item in nodes]
    links = {a: {"main": [[{"node": b, "type": "main", "index": 0}]]} for a, b in pairwise(names)}
    workflow["inline"] = {"nodes": nodes, "connections": links, "settings": {}}
    return resources(
        "acme", "Automation", name, {"title": name, "createdBy": OPS, "workflow": workflow}
    )


SPECS = (*ORGANIZATION, *credential(), *automation())


@pytest.fixture
def rig() -> EngineRig:
    return EngineRig(environ={"S1": "sesame", "S2": "tulip"})


def ended(report: Report) -> dict[Address, State]:
    return {outcome.address: outcome.state for outcome in report.outcomes}


def id_of(rig: EngineRig, address: Address) -> str:
    found = rig.ledger.inventory[address].object_id
    assert found is not None
    return found


async def test_a_workflow_that_was_edited_after_the_plan_is_not_overwritten(rig: EngineRig) -> None:
    await rig.run(SPECS)
    changed = (*ORGANIZATION, *credential(), *automation(step="set"))
    plan, world = await rig.plan(changed)
    rig.fake.edit(id_of(rig, FLOW), lambda body: body.update(name="by hand"))
    report = await rig.apply(plan, world)
    assert isinstance(report.outcomes[0].error, LiveChanged)
    assert report.exit_code is ExitCode.CONFLICT
    assert rig.fake.state.workflows[id_of(rig, FLOW)].name == "by hand"
    plan, report = await rig.run(changed)
    assert plan.changes[0].reason is Reason.BOTH
    assert ended(report) == {FLOW: State.APPLIED}


async def test_a_draft_that_can_not_be_published_is_put_back_and_planned_again(
    rig: EngineRig,
) -> None:
    await rig.run(SPECS)
    before = rig.fake.state.workflows[id_of(rig, FLOW)]
    rig.fake.workflows.node_types = {*rig.fake.node_types} - {"n8n-nodes-base.set"}
    changed = (*ORGANIZATION, *credential(), *automation(step="set"))
    _, report = await rig.run(changed)
    assert isinstance(report.outcomes[0].error, N8nInvalid)
    after = rig.fake.state.workflows[id_of(rig, FLOW)]
    assert after.active_id == before.active_id
    assert after.draft.nodes == before.draft.nodes
    plan, _ = await rig.plan(changed)
    assert [(c.address, c.action) for c in plan.shown] == [(FLOW, Action.UPDATE)]


async def test_what_needs_a_failed_change_is_not_attempted_and_the_rest_is(rig: EngineRig) -> None:
    await rig.run(ORGANIZATION)
    specs = (*SPECS, *automation("other", key=None))
    rig.fake.faults.append(Fault(trouble=Trouble.ERROR, method="POST", path="/credentials"))
    _, report = await rig.run(specs)
    assert ended(report) == {
        KEY: State.FAILED,
        FLOW: State.NOT_ATTEMPTED,
        OTHER: State.APPLIED,
    }
    note = next(o.note for o in report.outcomes if o.address == FLOW)
    assert note == f"needs {KEY}, which was not applied"
    assert report.exit_code is ExitCode.PARTLY_APPLIED


async def test_an_unreachable_n8n_stops_the_run(rig: EngineRig) -> None:
    plan, world = await rig.plan(SPECS)
    rig.begin(Fate(blows={1: Blow.LOST_BEFORE}))
    report = await rig.apply(plan, world)
    assert isinstance(report.stopped, N8nUnreachable)
    assert ended(report) == {
        HOME: State.FAILED,
        KEY: State.NOT_ATTEMPTED,
        FLOW: State.NOT_ATTEMPTED,
    }
    assert report.exit_code is ExitCode.UNREACHABLE


@pytest.mark.parametrize("entry", ["managed", "native"])
async def test_a_creation_whose_answer_was_lost_is_found_again(rig: EngineRig, entry: str) -> None:
    await rig.run((*ORGANIZATION, *credential()))
    specs = (*ORGANIZATION, *credential(), *automation(entry=entry))
    plan, world = await rig.plan(specs)
    rig.begin(Fate(blows={1: Blow.LOST_AFTER}))
    await rig.apply(plan, world)
    assert rig.ledger.inventory[FLOW].object_id is None
    rig.begin()
    plan, _ = await rig.run(specs)
    assert [(c.action, c.reason) for c in plan.shown] == [(Action.ADOPT, Reason.INTERRUPTED)]
    assert list(rig.fake.state.workflows) == [id_of(rig, FLOW)]


async def test_a_stranger_of_the_same_name_is_left_alone(rig: EngineRig) -> None:
    body = {"name": "flow", "nodes": [], "connections": {}, "settings": {}}
    rig.fake.workflows.create(body)
    rig.fake.credentials.create({"name": "acme/key", "type": "httpHeaderAuth", "data": {}})
    before = rig.fake.snapshot()
    await rig.run(SPECS)
    after = rig.fake.state
    assert before.workflows.items() <= after.workflows.items()
    assert before.credentials.items() <= after.credentials.items()
    assert (len(after.workflows), len(after.credentials)) == (2, 3)


async def test_a_deletion_while_pages_are_read_hides_nothing(rig: EngineRig) -> None:
    rig.fake.page_limit = 2
    specs = (*SPECS, *(r for n in range(7) for r in automation(f"more-{n}", key=None)))
    await rig.run(specs)
    doomed = min(rig.fake.state.workflows)
    ours = {e.object_id: a for a, e in rig.ledger.inventory.items()}

    def delete(fake: Any) -> None:
        fake.stop_serving(doomed)
        fake.workflows.delete(doomed)

    rig.fake.faults.append(Fault(method="GET", path="/workflows", nth=3, act=delete))
    plan, _ = await rig.plan(specs)
    assert {(c.address, c.action) for c in plan.shown} <= {
        (ours[doomed], Action.CREATE),
        (ours[doomed], Action.DISCARD),
    }


async def test_an_interrupted_run_says_what_it_did_and_the_next_one_goes_on(rig: EngineRig) -> None:
    plan, world = await rig.plan(SPECS)
    seen: list[Address] = []
    applying: list[asyncio.Task[Report]] = []

    async def run() -> Report:
        return await rig.apply(plan, world)

    def after_the_first() -> None:
        if len(rig.ledger.steps) == 2:
            applying[0].cancel()

    pause = rig.api.fate.pause

    class Interrupting(Fate):
        async def pause(self) -> None:
            after_the_first()
            await asyncio.sleep(0)
            await pause()

    rig.begin(Interrupting())
    applying.append(asyncio.create_task(run()))
    report = await applying[0]
    seen += [o.address for o in report.outcomes if o.state is State.APPLIED]
    assert report.interrupted
    assert report.exit_code is ExitCode.INTERRUPTED
    assert HOME in seen
    assert ended(report)[FLOW] is State.NOT_ATTEMPTED
    rig.begin()
    await rig.run(SPECS)
    plan, _ = await rig.plan(SPECS)
    assert plan.is_empty
    assert len(rig.fake.state.workflows) == 1


async def test_a_lost_lock_stops_the_run_before_the_next_wave(rig: EngineRig) -> None:
    plan, world = await rig.plan(SPECS)
    checks = 0

    class Losing(Fate):
        async def pause(self) -> None:
            nonlocal checks
            checks += 1

    rig.begin(Losing())

    async def lost() -> None:
        if rig.ledger.steps:
            raise LockHeld("somebody else has the lock")

    report = await rig.apply(plan, world, still_ours=lost)
    assert isinstance(report.stopped, LockHeld)
    assert ended(report) == {
        HOME: State.APPLIED,
        KEY: State.NOT_ATTEMPTED,
        FLOW: State.NOT_ATTEMPTED,
    }
    assert checks > 0


async def test_a_replaced_credential_is_deleted_after_all_that_use_it_have_its_successor(
    rig: EngineRig,
) -> None:
    await rig.run(SPECS)
    old = id_of(rig, KEY)
    specs = (
        *ORGANIZATION,
        *credential(n8n_type="httpBasicAuth"),
        *automation(n8n_type="httpBasicAuth"),
    )
    await rig.run(specs)
    new = id_of(rig, KEY)
    assert old not in rig.fake.state.credentials
    fetch = next(
        n for n in rig.fake.state.workflows[id_of(rig, FLOW)].draft.nodes if n["name"] == "Fetch"
    )
    assert fetch["credentials"]["httpBasicAuth"]["id"] == new
    assert [call.method for call in rig.fake.writes()][-1] == "DELETE"
    assert rig.ledger.inventory[KEY].deposed == ()


async def test_a_renamed_credential_keeps_its_object_and_those_who_refer_to_it(
    rig: EngineRig,
) -> None:
    await rig.run(SPECS)
    before = id_of(rig, KEY)
    renamed = Address("acme", "Credential", "token")
    specs = (*ORGANIZATION, *credential("token", moved_from="key"), *automation(key="token"))
    plan, _ = await rig.run(specs)
    assert [(c.address, c.action) for c in plan.shown] == [(renamed, Action.MOVE)]
    assert KEY not in rig.ledger.inventory
    assert id_of(rig, renamed) == before
    referred = {ref.address for ref in references(rig.ledger.inventory[FLOW].payload)}
    assert referred == {HOME, FLOW, renamed}


async def test_a_rename_is_complete_even_if_nothing_follows_it(rig: EngineRig) -> None:
    await rig.run(SPECS)
    specs = (*ORGANIZATION, *credential("token", moved_from="key"), *automation(key="token"))
    plan, world = await rig.plan(specs)
    rig.begin(Fate(blows={1: Blow.DIE_AFTER}))  # 0 records what refers to it
    async with mortal():
        await rig.apply(plan, world)
    entries = rig.ledger.inventory.values()
    everywhere = {ref.address for entry in entries for ref in references(entry.payload)}
    assert KEY not in everywhere


async def test_a_secret_that_was_rotated_after_the_plan_is_not_written_under_the_old_fingerprint(
    rig: EngineRig,
) -> None:
    plan, world = await rig.plan(SPECS)
    rig.environ["S1"] = "rotated"
    report = await rig.apply(plan, world)
    assert ended(report)[KEY] is State.FAILED
    assert "env S1 has another value than was planned" in str(report.outcomes[1].error)
    assert "rotated" not in str(report.outcomes[1].error)


def test_a_workflow_that_never_goes_live_is_a_failure() -> None:
    rig = EngineRig(environ={"S1": "sesame"})
    rig.fake.workflows.lag = 10**9

    async def run() -> Report:
        plan, world = await rig.plan((*ORGANIZATION, *automation(key=None)))
        return await rig.apply(plan, world)

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        report = runner.run(run())
    assert ended(report)[FLOW] is State.FAILED
    assert report.outcomes[1].error is not None
    assert report.outcomes[1].error.exit_code is ExitCode.TIMEOUT


async def test_a_trigger_can_move_out_of_its_automation_into_a_document(rig: EngineRig) -> None:
    trigger = {"type": "SCHEDULE", "cron": "0 9 * * *"}
    spec = dict(automation(key=None)[0].document.spec)
    inside = resources(
        "acme", "Automation", "flow", {**spec, "triggers": [{"name": "s", **trigger}]}
    )
    await rig.run((*ORGANIZATION, *inside))
    apart = resources("acme", "Trigger", "s", {**trigger, "automation": "flow"})
    specs = (*ORGANIZATION, *automation(key=None), *apart)
    _, report = await rig.run(specs)
    assert ended(report)[Address("acme", "Trigger", "flow.s")] is State.APPLIED
    await rig.run(specs)
    plan, _ = await rig.plan(specs)
    assert plan.is_empty
    names = sorted(
        (r["name"] or "", r["isActive"]) for r in rig.ledger.tables["workflow_triggers"].values()
    )
    assert names == [("", False), ("s", True)]
