"""Credentials that a person made in n8n: used, never written, whatever was interrupted before."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.plan.change import Action, Only
from reconciler.plan.planner import PlanOptions
from reconciler.resource.address import Address
from reconciler.spec.link import Resource
from tests.doubles.engine_rig import EngineRig, resources
from tests.doubles.fate import Blow, Fate, mortal

ORGANIZATION = resources("acme", "Organization", "acme", {"title": "Acme"})
KEY = Address("acme", "Credential", "key")
BASE = {"provider": "OTHER", "owner": "ops@acme.example", "title": "Key"}


def own(name: str = "X-Key") -> tuple[Resource, ...]:
    data = {"name": name, "value": {"secretRef": {"env": "S1"}}}
    spec = {**BASE, "n8nType": "httpHeaderAuth", "data": data}
    return (*ORGANIZATION, *resources("acme", "Credential", "key", spec))


def borrowed(**existing: str) -> tuple[Resource, ...]:
    spec = {**BASE, "existing": {**existing, "type": "httpHeaderAuth"}}
    return (*ORGANIZATION, *resources("acme", "Credential", "key", spec))


OWN = own()
BY_NAME = borrowed(name="Main account")
BY_OTHER_NAME = borrowed(name="Second account")


@pytest.fixture
def rig() -> EngineRig:
    rig = EngineRig(environ={"S1": "sesame"})
    for name in ("Main account", "Second account"):
        made: dict[str, Any] = {"name": name, "type": "httpHeaderAuth", "data": {"name": "X"}}
        rig.fake.credentials.create(made)
    return rig


def theirs(rig: EngineRig) -> dict[str, Any]:
    every = rig.fake.state.credentials.values()
    return {c.name: c for c in every if c.name.endswith(" account")}


def ours(rig: EngineRig) -> list[str]:
    return [c.name for c in rig.fake.state.credentials.values() if c.name.startswith("acme/key")]


@pytest.mark.parametrize("second", [OWN, BY_NAME, BY_OTHER_NAME, ORGANIZATION])
@pytest.mark.parametrize("first", [OWN, BY_NAME])
@pytest.mark.parametrize("dies_at", [None, 0, 1, 2, 3, 4])
@pytest.mark.parametrize("last", [OWN, BY_NAME, ORGANIZATION])
async def test_no_change_of_mind_touches_what_a_person_made(
    rig: EngineRig,
    first: tuple[Resource, ...],
    second: tuple[Resource, ...],
    last: tuple[Resource, ...],
    dies_at: int | None,
) -> None:
    before = theirs(rig)
    await rig.run(first)
    rig.begin(Fate(blows={} if dies_at is None else {dies_at: Blow.DIE_AFTER}))
    async with mortal():
        await rig.run(second)
    rig.begin()
    await rig.run(last)
    assert theirs(rig) == before
    plan, _ = await rig.plan(last)
    assert plan.shown == ()
    assert len(ours(rig)) == (1 if last is OWN else 0)


@pytest.mark.parametrize("only", list(Only))
@pytest.mark.parametrize(
    "first, second", [(OWN, BY_NAME), (BY_NAME, OWN), (BY_NAME, BY_OTHER_NAME)]
)
async def test_a_repair_does_not_touch_what_a_person_made(
    rig: EngineRig, first: tuple[Resource, ...], second: tuple[Resource, ...], only: Only
) -> None:
    before = theirs(rig)
    await rig.run(first)
    await rig.run(second, PlanOptions(only=only))
    assert theirs(rig) == before


async def test_a_borrowed_credential_that_is_gone_blocks_what_needs_it(rig: EngineRig) -> None:
    await rig.run(BY_NAME)
    rig.fake.credentials.delete(theirs(rig)["Main account"].id)
    plan, _ = await rig.plan(BY_NAME)
    assert [c.blocked for c in plan.shown] == ["n8n has no object that matches `existing`"]
    rig.fake.credentials.create({"name": "Main account", "type": "httpHeaderAuth", "data": {}})
    plan, _ = await rig.run(BY_NAME)
    assert [(c.address, c.action) for c in plan.shown] == [(KEY, Action.ADOPT)]
    assert rig.ledger.inventory[KEY].object_id == theirs(rig)["Main account"].id


async def test_an_edit_by_hand_is_seen_even_after_the_organization_got_a_new_credential(
    rig: EngineRig,
) -> None:
    await rig.run(own())
    id_ = str(rig.ledger.inventory[KEY].object_id)
    home = Address("acme", "Organization", "acme")
    rig.fake.credentials.delete(str(rig.ledger.inventory[home].object_id))
    plan, world = await rig.plan(own())
    rig.fake.credentials.update(id_, {"data": {"name": "X-By-Hand"}})
    await rig.apply(plan, world)
    await rig.run(own())
    assert rig.fake.state.credentials[id_].data["name"] == "X-Key"
