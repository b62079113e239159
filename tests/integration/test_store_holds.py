"""Holds, the state of the source, and conditions, in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from reconciler.plan.restraint import Place, What
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.store.conditions import Conditions
from reconciler.store.database import Database
from reconciler.store.holds import Ends, Holds
from reconciler.store.inventory import Inventory
from reconciler.store.sources import Sources, SourceState

ONE = Place.parse("acme/Automation/intake")
HOME = Place.parse("acme")


async def test_a_hold_is_open_until_its_time_or_until_it_is_released(
    database: Database, new_id: Callable[[], str]
) -> None:
    holds = Holds(database, new_id=new_id)
    short = timedelta(seconds=0.2)
    await holds.place(ONE, [What.HEAL], by="ada", reason="a look", lasts=short)
    kept = await holds.place(HOME, [What.APPLY, What.FIRE], by="ada", reason="INC", lasts=None)
    assert [ONE, HOME] == [hold.place for hold in await holds.open()]

    await asyncio.sleep(0.3)
    assert (kept,) == await holds.open()
    assert () == await holds.release(ONE, by="bob")
    assert (kept,) == await holds.release(HOME, by="bob")
    assert () == await holds.open()


async def test_a_part_of_a_hold_can_end_and_the_rest_goes_on(
    database: Database, new_id: Callable[[], str]
) -> None:
    holds = Holds(database, new_id=new_id)
    words = [What.APPLY, What.HEAL, What.FIRE]
    kept = await holds.place(HOME, words, by="ada", reason="INC", lasts=None)

    ends = Ends(what=frozenset({What.FIRE}), rollback=False)
    [ended] = await holds.release(HOME, ends, by="bob")
    assert ended.id == kept.id
    assert {What.FIRE} == ended.what
    [rest] = await holds.open()
    assert rest.id == kept.id
    assert {What.APPLY, What.HEAL} == rest.what
    assert () == await holds.release(HOME, ends, by="bob")


async def test_a_second_rollback_takes_the_place_of_the_first(
    database: Database, new_id: Callable[[], str]
) -> None:
    holds = Holds(database, new_id=new_id)
    for revision in ("aaa", "bbb"):
        await holds.pin(revision, instead_of="ccc", by="ada", reason="bad", lasts=None)

    [pin] = await holds.open()
    assert (pin.pinned, pin.rolled_back_from, pin.place) == ("bbb", "ccc", Place())
    assert {What.APPLY} == pin.what


async def test_what_is_known_of_the_source_grows_and_is_never_lost_by_a_problem(
    database: Database,
) -> None:
    sources = Sources(database)
    assert await sources.load() == SourceState()

    await sources.saw("git", "aaa", None)
    await sources.turned("git", good="aaa", applied="aaa", rewritten_from=None)
    await sources.saw("git", "bbb", "1 error")
    await sources.turned("git", good="aaa", applied=None, rewritten_from=None)
    state = await sources.load()
    assert (state.seen, state.good, state.applied, state.problem) == (
        "bbb",
        "aaa",
        "aaa",
        "1 error",
    )
    assert state.turned_ago is not None
    assert state.turned_ago < 60

    since = state.problem_at
    await sources.saw("git", None, "1 error")
    assert ((await sources.load()).problem_at, (await sources.load()).seen) == (since, "bbb")
    await sources.saw("git", "ccc", None)
    state = await sources.load()
    assert (state.problem, state.problem_at) == (None, None)


async def test_asking_for_news_works_before_any_daemon_ever_looked(database: Database) -> None:
    sources = Sources(database)
    await sources.ask()
    first = (await sources.load()).asked_at
    await sources.ask()

    assert first is not None
    assert (await sources.load()).asked_at != first


async def test_conditions_are_written_together_and_only_where_they_changed(
    database: Database, new_id: Callable[[], str]
) -> None:
    inventory, conditions = Inventory(database, new_id=new_id), Conditions(database)
    addresses = [Address("acme", "Automation", f"a{number}") for number in range(3)]
    for address in addresses:
        await inventory.intend(Recorded(address=address, row_id=str(address)))
    wanted = {address: [{"type": "Synced", "status": "True"}] for address in addresses}

    assert 3 == await conditions.save(wanted)  # type: ignore[arg-type]
    assert 0 == await conditions.save(wanted)  # type: ignore[arg-type]
    assert wanted == await conditions.load()
    unknown = {Address("acme", "Automation", "nobody"): [{"type": "Synced"}]}
    assert 0 == await conditions.save(unknown)  # type: ignore[arg-type]


async def test_what_was_applied_by_hand_is_noted_and_is_no_turn(database: Database) -> None:
    sources = Sources(database)
    await sources.applied("aaa")
    first = await sources.load()
    await sources.applied("aaa")
    assert first == await sources.load()
    await sources.applied("bbb")
    state = await sources.load()

    assert ("aaa", "bbb") == (first.applied, state.applied)
    assert first.applied_at is not None
    assert state.applied_at is not None
    assert state.applied_at > first.applied_at
    assert (state.turned_at, state.good, state.place) == (None, None, "")
