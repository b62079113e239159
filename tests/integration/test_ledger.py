"""The ledger in memory, which the property tests run on, does what the one on PostgreSQL does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.clock import SystemClock
from reconciler.engine.ledger import StoreLedger
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.spec.link import Resource
from reconciler.store.database import Database
from reconciler.store.inventory import Inventory
from reconciler.store.operations import Operations
from reconciler.store.rows import Rows
from tests.doubles.engine_rig import EngineRig
from tests.properties.engine_specs import HOMES, SHARED_NAME, SLOTS, Commit

ENCRYPTED = {"credentialData", "authSecrets"}  # another nonce each time
TABLES = (
    "organization",
    "memberships",
    "automations",
    "automation_runtime",
    "workflow_triggers",
    "integration_credentials",
    "automation_templates",
)


async def on_postgresql(database: Database, new_id: Callable[[], str]) -> StoreLedger:
    operations = Operations(database)
    operation = await operations.begin(id="op1", kind="apply", actor="kim", host="here")
    return StoreLedger(
        Inventory(database, new_id=new_id),
        Rows(database, new_id=new_id),
        operations,
        SystemClock(),
        operation,
    )


def commit(rig: EngineRig, seed: int, **slots: int) -> tuple[Resource, ...]:
    genes = tuple(slots.get(slot, 0) and seed + slots[slot] for slot in SLOTS)
    kept = next(
        c.id
        for c in rig.fake.state.credentials.values()
        if (c.name, c.type) == (SHARED_NAME, "httpHeaderAuth")
    )
    return Commit({HOMES[0]: genes}, kept).resources()


async def run(rig: EngineRig, ledger: Any, specs: tuple[Resource, ...]) -> None:
    rig.ledger = ledger
    plan, world = await rig.plan(specs, organizations=frozenset(HOMES))
    report = await rig.apply(plan, world, specs, concurrency=1)
    assert {o.message for o in report.outcomes} <= {None}
    plan, _ = await rig.plan(specs, organizations=frozenset(HOMES))
    assert plan.is_empty


def entries(inventory: dict[Address, Recorded]) -> dict[str, Any]:
    # Version marks apart: who forgets them first, of two that run side by side, is chance.
    return {str(address): replace(entry, stamp=None) for address, entry in inventory.items()}


async def rows(ledger: Any, ids: list[str]) -> dict[tuple[str, str], Any]:
    found = {}
    for table in TABLES:
        for id_, row in (await ledger.rows(table, ids)).items():
            found[table, id_] = {k: v for k, v in row.items() if k not in ENCRYPTED}
    return found


@pytest.mark.parametrize("seed", [1, 700, 9_001, 31_337])
async def test_both_ledgers_remember_the_same(
    database: Database, new_id: Callable[[], str], seed: int
) -> None:
    memory, real = EngineRig(), EngineRig()
    for rig in (memory, real):
        rig.environ = {"S1": "sesame", "S2": "tulip", "S3": "walnut"}
        for type_ in ("httpHeaderAuth", "httpBasicAuth"):
            body: dict[str, Any] = {"name": SHARED_NAME, "type": type_, "data": {}}
            rig.fake.credentials.create(body)
    in_memory, stored = memory.ledger, await on_postgresql(database, new_id)
    every = {slot: 3 * at + 1 for at, slot in enumerate(SLOTS)}
    for specs in (
        commit(memory, seed, **every),
        commit(memory, seed + 5, **every),
        commit(memory, seed, organization=1, c1=2, a1=3),
        commit(memory, seed, **every),
    ):
        await run(memory, in_memory, specs)
        await run(real, stored, specs)
        recorded = await stored.recorded()
        assert entries(recorded) == entries(await in_memory.recorded())
        ids = [entry.row_id for entry in recorded.values()]
        expected, found = await rows(in_memory, ids), await rows(stored, ids)
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            assert {k: found[key].get(k) for k in row} == row, key
