"""Operations, their steps, and the vault's data keys."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.errors import ConflictError, ReconcilerError
from reconciler.resource.address import Address
from reconciler.store.database import Database
from reconciler.store.keys import KeyStore, StoredKey
from reconciler.store.operations import Operations
from reconciler.store.writes import StepIntent

ADDRESS = Address("acme", "Automation", "invoices")


async def begin(operations: Operations, name: str, *organizations: str) -> str:
    return await operations.begin(
        id=name,
        kind="apply",
        actor="ops@acme.example",
        host="build-7",
        git_revision="0123abcd",
        plan_digest="fedc",
        organizations=organizations,
    )


def step(operation: str, ordinal: int) -> StepIntent:
    return StepIntent(
        operation=operation,
        ordinal=ordinal,
        address=ADDRESS,
        action="update",
        reason="changed in the specs",
        detail={"fields": ["name"]},
    )


async def test_the_newest_operations_come_first(database: Database) -> None:
    operations = Operations(database)
    for number in range(7):
        await begin(operations, f"op{number}", "acme" if number % 2 else "zeta")

    newest = await operations.recent(3)
    of_acme = await operations.recent(10, "acme")

    assert [operation.id for operation in newest] == ["op6", "op5", "op4"]
    assert [operation.id for operation in of_acme] == ["op5", "op3", "op1"]


async def test_an_operation_tells_who_did_what_and_how_it_ended(database: Database) -> None:
    operations = Operations(database)
    await begin(operations, "op1", "acme")
    (running,) = await operations.recent()
    await operations.finish("op1", "partly", {"applied": 2, "failed": 1})
    (ended,) = await operations.recent()

    assert (running.outcome, running.finished_at) == (None, None)
    assert (ended.actor, ended.host, ended.git_revision) == (
        "ops@acme.example",
        "build-7",
        "0123abcd",
    )
    assert (ended.outcome, ended.summary) == ("partly", {"applied": 2, "failed": 1})
    assert ended.finished_at is not None
    assert ended.finished_at >= ended.started_at


async def test_an_outcome_that_is_no_outcome_is_refused(database: Database) -> None:
    operations = Operations(database)
    await begin(operations, "op1")

    with pytest.raises(ReconcilerError, match="operations_outcome_check"):
        await operations.finish("op1", "fine")


async def test_steps_end_as_done_or_failed_or_stay_open(database: Database) -> None:
    operations = Operations(database)
    await begin(operations, "op1")
    for ordinal in (1, 2, 3):
        await operations.step_intended(step("op1", ordinal))

    await operations.step_done("op1", 1)
    await operations.step_failed("op1", 2, "n8n said no: \x00" + "x" * 10_000)

    steps = await operations.steps("op1")
    errors = [len(s.error or "") for s in steps]
    assert [s.outcome for s in steps] == ["done", "failed", None]
    assert errors == [0, 4000, 0]
    assert [s.ordinal for s in await operations.unfinished_steps()] == [3]
    assert (steps[0].address, steps[0].reason) == (ADDRESS, "changed in the specs")


async def test_a_step_is_written_once(database: Database) -> None:
    operations = Operations(database)
    await begin(operations, "op1")
    await operations.step_intended(step("op1", 1))

    with pytest.raises(ConflictError):
        await operations.step_intended(step("op1", 1))


async def test_of_two_first_data_keys_one_stays_active(database: Database) -> None:
    store = KeyStore(database)
    keys = [StoredKey(id=f"k{n}", organization="o1", wrapped=f"w{n}") for n in range(5)]

    await asyncio.gather(*map(store.save, keys))

    stored = await store.load("o1")
    assert len(stored) == 1
    assert stored[0] in keys


async def test_retired_keys_are_kept_beside_the_active_one(database: Database) -> None:
    store = KeyStore(database)
    old = StoredKey(id="k1", organization="o1", wrapped="w1", active=False)
    new = StoredKey(id="k2", organization="o1", wrapped="w2")
    other = StoredKey(id="k3", organization="o2", wrapped="w3")

    for key in (old, new, other):
        await store.save(key)

    assert await store.load("o1") == [new, old]
    assert await store.load("o3") == []


async def test_only_what_was_carried_out_as_a_whole_is_an_applied_revision(
    database: Database,
) -> None:
    operations = Operations(database)
    ended = [
        ("aaaaaaa", "apply", "done"),
        ("bbbbbbb", "reconcile", "done"),
        ("ccccccc", "apply", "partly"),
        ("ddddddd", "apply --target", "done"),
        ("eeeeeee", "apply --organization", "done"),
        ("fffffff+", "apply", "done"),
    ]
    for revision, kind, outcome in ended:
        await operations.begin(
            id=revision, kind=kind, actor="ops", host="build-7", git_revision=revision
        )
        await operations.finish(revision, outcome)

    assert ["bbbbbbb", "aaaaaaa"] == [one.revision for one in await operations.applied(9)]


async def test_the_present_revision_is_the_last_one_that_changed_something(
    database: Database,
) -> None:
    operations = Operations(database)
    assert await operations.present() is None
    for revision, kind in (
        ("aaaaaaa", "apply"),
        ("bbbbbbb", "apply --target"),
        ("ccccccc", "apply"),
    ):
        await operations.begin(
            id=revision, kind=kind, actor="ops", host="build-7", git_revision=revision
        )
    await operations.finish("aaaaaaa", "done")
    await operations.finish("ccccccc", "partly")
    assert "aaaaaaa" == await operations.present()

    await operations.step_intended(step("bbbbbbb", 1))
    assert "aaaaaaa" == await operations.present()
    await operations.step_done("bbbbbbb", 1)
    assert "bbbbbbb" == await operations.present()
