"""The inventory on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.errors import ConfigError, ConflictError, ReconcilerError
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, Ref, Sealed, Side, digest
from reconciler.resource.stamp import Stamp
from reconciler.store.database import Database
from reconciler.store.inventory import Inventory
from reconciler.store.operations import Operations
from reconciler.store.writes import RowWrite, StepIntent, StepOutcome, Write

NOW = datetime(2026, 3, 1, 9, 30, 0, 250000, tzinfo=UTC)
ADDRESS = Address("acme", "Automation", "invoices")
OTHER = Address("zeta", "Automation", "invoices")
PAYLOAD: Payload = {
    "row": {"name": "Invoices", "tags": ["a", "b"], "note": 'NUL \x00, "quotes", ümlaut'},
    "n8n": {
        "credential": Ref(Address("acme", "Credential", "mail"), Side.N8N),
        "secret": Sealed("mail.password", "0a1b"),
        "rate": 1.0,
        "nodes": {"Start": {"type": "x", "z": 1, "a": [1, {"deep": None}]}},
    },
}
FULL = Recorded(
    address=ADDRESS,
    row_id="a1",
    payload=PAYLOAD,
    attempted={"row": {"name": "New"}},
    object_id="wf1",
    deposed=("old1", "old2"),
    stamp=Stamp(version="v1", published="v0", updated_at="2026-03-01T09:30:00.000Z"),
    protected=True,
    removed=True,
    revision="0123abcd",
)
ORGANIZATION = RowWrite(table="organization", row_id="o1", columns={"name": "Acme"})
AUTOMATION = RowWrite(
    table="automations",
    row_id="a1",
    columns={
        "name": "Invoices",
        "triggerType": "MANUAL",
        "triggerConfig": {},
        "orgId": "o1",
        "createdBy": "ops@acme.example",
    },
)


@pytest.fixture
def inventory(database: Database, new_id: Callable[[], str]) -> Inventory:
    return Inventory(database, new_id=new_id)


@pytest.fixture
async def operation(database: Database) -> str:
    return await Operations(database).begin(id="op1", kind="apply", actor="me", host="here")


def intent(operation: str, action: str = "create", address: Address = ADDRESS) -> StepIntent:
    return StepIntent(operation=operation, ordinal=1, address=address, action=action)


async def test_an_entry_comes_back_with_all_its_fields(inventory: Inventory) -> None:
    await inventory.settle(FULL, now=NOW)

    assert await inventory.load() == {ADDRESS: FULL}


async def test_only_the_organizations_that_are_asked_for_are_loaded(inventory: Inventory) -> None:
    await inventory.settle(FULL, now=NOW)
    await inventory.settle(replace(FULL, address=OTHER, row_id="z1"), now=NOW)

    assert list(await inventory.load({"zeta"})) == [OTHER]
    assert await inventory.load([]) == {}
    assert list(await inventory.digests({"acme"})) == [ADDRESS]


async def test_an_intent_leaves_the_last_applied_payload_alone(inventory: Inventory) -> None:
    done = replace(FULL, attempted=None, removed=False)
    await inventory.settle(done, now=NOW)

    tried = replace(done, payload={}, attempted={"row": {"name": "Second"}}, object_id=None)
    await inventory.intend(tried)

    expected = replace(done, attempted={"row": {"name": "Second"}}, object_id=None)
    assert await inventory.load() == {ADDRESS: expected}
    assert await inventory.digests() == {ADDRESS: digest(PAYLOAD)}


async def test_an_intent_and_its_step_are_one_commit(
    inventory: Inventory, database: Database, operation: str
) -> None:
    entry = Recorded(address=ADDRESS, row_id="a1", attempted=PAYLOAD)
    await inventory.intend(entry, intent(operation))

    (step,) = await Operations(database).unfinished_steps()

    assert await inventory.load() == {ADDRESS: entry}
    assert (step.address, step.action, step.outcome) == (ADDRESS, "create", None)


async def test_two_machines_cannot_record_one_address_with_two_ids(
    inventory: Inventory, database: Database, operation: str
) -> None:
    first = Recorded(address=ADDRESS, row_id="a1", attempted=PAYLOAD)
    await inventory.intend(first)

    second = replace(first, row_id="a2")
    with pytest.raises(ConflictError, match="another machine was first"):
        await inventory.intend(second, intent(operation))
    with pytest.raises(ConflictError):
        await inventory.intend_all([(second, intent(operation))])
    with pytest.raises(ConflictError):
        await inventory.settle(second, [ORGANIZATION], now=NOW)

    assert await inventory.load() == {ADDRESS: first}
    assert await Operations(database).unfinished_steps() == []
    assert await inventory.rows.select_rows("organization", ["o1"]) == {}


async def test_of_two_simultaneous_intents_for_one_address_exactly_one_wins(
    inventory: Inventory,
) -> None:
    entries = [Recorded(address=ADDRESS, row_id=f"a{n}") for n in range(8)]

    outcomes = await asyncio.gather(*map(inventory.intend, entries), return_exceptions=True)

    lost = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
    assert (len(lost), outcomes.count(None)) == (7, 1)
    assert len(await inventory.load()) == 1


async def test_one_row_id_cannot_belong_to_two_addresses(inventory: Inventory) -> None:
    await inventory.settle(FULL, now=NOW)

    with pytest.raises(ConflictError, match="resources_row_id_key"):
        await inventory.intend(replace(FULL, address=OTHER))


async def test_the_id_that_n8n_gave_is_remembered_at_once(inventory: Inventory) -> None:
    await inventory.intend(Recorded(address=ADDRESS, row_id="a1", attempted=PAYLOAD))

    await inventory.object_created(ADDRESS, "wf7")

    assert (await inventory.load())[ADDRESS].object_id == "wf7"
    with pytest.raises(ConflictError, match="no longer recorded"):
        await inventory.object_created(OTHER, "wf8")


async def test_rows_entry_and_outcome_are_one_commit(
    inventory: Inventory, database: Database, operation: str
) -> None:
    await inventory.intend(replace(FULL, payload={}), intent(operation))
    done = replace(FULL, attempted=None, removed=False)

    outcome = StepOutcome(operation=operation, ordinal=1)
    await inventory.settle(done, [ORGANIZATION, AUTOMATION], outcome, now=NOW)

    rows = await inventory.rows.select_rows("automations", ["a1"], ["name", "createdAt"])
    (step,) = await Operations(database).steps(operation)
    assert await inventory.load() == {ADDRESS: done}
    assert rows == {"a1": {"name": "Invoices", "createdAt": NOW}}
    assert (step.outcome, step.error) == ("done", None)


@pytest.mark.parametrize(
    "wrong",
    [
        RowWrite(table="automations", row_id="a2", columns={"name": "incomplete"}),
        RowWrite(table="automations", row_id="a1", columns={"triggerType": "NEVER"}),
        RowWrite(table="automations", row_id="a1", columns={"name": "NUL \x00"}),
        RowWrite(table="automations", row_id="a1", columns={"orgId": "nobody"}),
        RowWrite(table="nonsense", row_id="a1", columns={"name": "x"}),
    ],
)
async def test_when_one_write_is_refused_nothing_is_written(
    wrong: Write, inventory: Inventory, database: Database, operation: str
) -> None:
    await inventory.intend(replace(FULL, payload={}), intent(operation))
    before = await inventory.load()

    outcome = StepOutcome(operation=operation, ordinal=1)
    with pytest.raises(ReconcilerError):
        await inventory.settle(FULL, [ORGANIZATION, AUTOMATION, wrong], outcome, now=NOW)

    assert await inventory.load() == before
    assert await inventory.rows.select_rows("automations", ["a1"]) == {}
    assert [s.outcome for s in await Operations(database).steps(operation)] == [None]


async def test_a_refused_write_does_not_spoil_the_connection(inventory: Inventory) -> None:
    wrong = RowWrite(table="automations", row_id="a2", columns={"name": "incomplete"})
    for _ in range(10):
        with pytest.raises(ConfigError):
            await inventory.settle(FULL, [wrong], now=NOW)

    await inventory.settle(FULL, now=NOW)

    assert await inventory.load() == {ADDRESS: FULL}


async def test_a_moved_entry_keeps_its_ids(inventory: Inventory) -> None:
    await inventory.settle(FULL, now=NOW)
    renamed = replace(ADDRESS, name="bills")

    await inventory.move(ADDRESS, renamed, now=NOW)

    assert await inventory.load() == {renamed: replace(FULL, address=renamed)}
    with pytest.raises(ConflictError, match="no longer recorded"):
        await inventory.move(ADDRESS, renamed, now=NOW)


async def test_entries_that_refer_to_a_moved_one_are_rewritten_with_it(
    inventory: Inventory,
) -> None:
    renamed = replace(ADDRESS, name="bills")
    before = replace(FULL, address=OTHER, row_id="z1", payload={"n8n": {"calls": Ref(ADDRESS)}})
    after = replace(before, payload={"n8n": {"calls": Ref(renamed)}})
    await inventory.settle_all([FULL, before], now=NOW)

    with pytest.raises(ConflictError, match="another machine"):
        await inventory.move(ADDRESS, renamed, [replace(after, row_id="z2")], now=NOW)
    kept = await inventory.load()
    await inventory.move(ADDRESS, renamed, [after], now=NOW)

    assert kept == {ADDRESS: FULL, OTHER: before}
    assert await inventory.load() == {renamed: replace(FULL, address=renamed), OTHER: after}


async def test_an_entry_cannot_move_to_an_address_that_is_taken(inventory: Inventory) -> None:
    await inventory.settle(FULL, now=NOW)
    await inventory.settle(replace(FULL, address=OTHER, row_id="z1"), now=NOW)

    with pytest.raises(ConflictError, match="resources_pkey"):
        await inventory.move(ADDRESS, OTHER, now=NOW)


async def test_many_entries_are_brought_up_to_date_in_one_commit(inventory: Inventory) -> None:
    entries = [
        replace(FULL, address=replace(ADDRESS, name=f"n{n}"), row_id=f"a{n}") for n in range(50)
    ]
    await inventory.settle_all(entries, now=NOW)
    changed = [replace(entry, stamp=Stamp(version="v9")) for entry in entries]

    with pytest.raises(ConflictError):
        await inventory.settle_all([*changed, replace(changed[7], row_id="other")], now=NOW)
    kept = await inventory.load()
    await inventory.settle_all(changed, now=NOW)

    assert kept == {entry.address: entry for entry in entries}
    assert await inventory.load() == {entry.address: entry for entry in changed}


async def test_conditions_are_kept_beside_the_entry(inventory: Inventory) -> None:
    await inventory.settle(FULL, now=NOW)
    await inventory.settle(replace(FULL, address=OTHER, row_id="z1"), now=NOW)

    await inventory.set_conditions(ADDRESS, [{"type": "Synced", "status": True}])

    assert await inventory.conditions() == {ADDRESS: [{"type": "Synced", "status": True}]}
    assert await inventory.load(["acme"]) == {ADDRESS: FULL}
