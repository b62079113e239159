"""Events on a real PostgreSQL: whom they reach, each trigger once, and one that can't be dispatched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.runtime.dispatcher import Dispatcher
from reconciler.store.database import Database
from reconciler.store.event_records import EventFilter, EventRecords, EventState
from reconciler.store.events import MAX_DATA, EventIdTaken, Events, NewEvent, Sent
from reconciler.store.executions import Executions
from tests.integration.tenants import Tenants, tenants_of

DOCUMENT = {"documentType": "invoice", "fileSize": 12}


@pytest.fixture
def world(upgraded_url: str) -> Iterator[Tenants]:
    """Two organizations; acme has automations that hear about documents."""
    with tenants_of(upgraded_url) as tenants:
        for name in ("acme", "globex"):
            tenants.organization(name)
            for automation in ("intake", "archive"):
                tenants.automation(name, automation)
            tenants.trigger(f"{name}-intake", "scans", filters={"documentType": "invoice"})
            tenants.trigger(f"{name}-archive", "all")
        yield tenants


@pytest.fixture
def events(database: Database, new_id: Callable[[], str]) -> Events:
    return Events(database, Executions(database, new_id=new_id))


async def send(events: Events, type_: str = "DOCUMENT_UPLOADED", **changes: Any) -> Sent:
    """Send an event to acme."""
    values = {"organization_id": "acme", "id": "e1", "data": DOCUMENT, "sent_by": "test"}
    return await events.send(NewEvent(type=type_, **{**values, **changes}))


def insert(world: Tenants, type_: str = "DOCUMENT_UPLOADED", **changes: Any) -> None:
    """Insert an event as a producer does, in its own transaction."""
    values = {"organization": "acme", "id": "e1", "data": DOCUMENT, **changes}
    text = values["data"] if isinstance(values["data"], str) else json.dumps(values["data"])
    world.sql(
        "INSERT INTO reconciler.events (organization_id, id, type, data) VALUES (%s, %s, %s, %s)",
        values["organization"],
        values["id"],
        type_,
        text,
    )


async def test_an_event_reaches_each_trigger_that_fits_and_no_other_organization(
    world: Tenants, events: Events
) -> None:
    sent = await send(events)

    assert [("acme-archive-all", DOCUMENT), ("acme-intake-scans", DOCUMENT)] == world.executions()
    assert (True, False, None) == (sent.fresh, sent.waiting, sent.error)
    assert ["acme/archive", "acme/intake"] == [one.automation for one in sent.executions]
    keys = world.sql('SELECT "idempotencyKey" FROM workflow_executions ORDER BY 1')
    assert [("evt:e1:acme-archive-all",), ("evt:e1:acme-intake-scans",)] == keys


async def test_both_ways_make_the_same_executions(world: Tenants, events: Events) -> None:
    columns = (
        'SELECT "triggerId", "triggerData", "idempotencyKey", cause, status::text, priority, '
        "metadata->'event'->>'type' FROM workflow_executions ORDER BY 1"
    )
    await send(events)
    over_http = world.sql(columns)
    world.sql("DELETE FROM workflow_executions")
    world.sql("DELETE FROM reconciler.events")

    insert(world)
    assert 1 == await events.dispatch()

    assert over_http == world.sql(columns)
    assert 0 == await events.dispatch()


async def test_filters_decide_for_each_trigger(world: Tenants, events: Events) -> None:
    sent = await send(events, data={"documentType": "contract"})

    assert ["acme/archive"] == [one.automation for one in sent.executions]


async def test_names_of_their_own_are_heard_by_nobody_else(world: Tenants, events: Events) -> None:
    world.trigger("acme-intake", "signed", triggerEvent="contract.signed")
    world.trigger("acme-archive", "odd", triggerType="FORM_SUBMITTED")  # another type's name
    world.trigger("acme-archive", "call", triggerType="API_CALL", triggerEvent="contract.signed")

    await send(events, "contract.signed", id="custom")
    await send(events, "document.uploaded", id="word")
    await send(events, "form.submitted", id="nobody")

    started = {
        id_: [one.trigger for one in await events.started("acme", id_)]
        for id_ in ("custom", "word", "nobody")
    }
    assert {"custom": ["signed"], "word": ["all", "scans"], "nobody": []} == started


async def test_what_is_inactive_hears_nothing(world: Tenants, events: Events) -> None:
    world.sql('UPDATE workflow_triggers SET "isActive" = false WHERE id = %s', "acme-intake-scans")
    world.sql('UPDATE automations SET "isActive" = false WHERE id = %s', "acme-archive")

    sent = await send(events)

    assert ((), None) == (sent.executions, sent.error)
    assert [] == world.executions()


async def test_an_event_that_is_sent_again_starts_nothing_new(
    world: Tenants, events: Events
) -> None:
    first = await send(events)
    again = await send(events, "document.uploaded")

    assert (False, first.executions) == (again.fresh, again.executions)
    assert 2 == len(world.executions())
    assert (await send(events, organization_id="globex")).fresh, "ids belong to an organization"


async def test_the_id_of_another_event_is_refused(world: Tenants, events: Events) -> None:
    await send(events)

    for changes in ({"data": {"documentType": "x"}}, {"type_": "FORM_SUBMITTED"}):
        with pytest.raises(EventIdTaken, match="e1 is the id of another event"):
            await send(events, **changes)

    assert 2 == len(world.executions())


async def test_many_callers_with_one_id_start_one_of_each(world: Tenants, events: Events) -> None:
    sent = await asyncio.gather(*(send(events, id=f"e{n % 5}") for n in range(50)))

    assert 5 == sum(one.fresh for one in sent)
    assert 10 == len(world.executions())


async def test_dispatchers_share_the_work_and_each_event_is_dispatched_once(
    world: Tenants, upgraded_url: str
) -> None:
    for number in range(120):
        insert(world, id=f"e{number}")

    async def work(prefix: str) -> int:
        numbers = iter(range(1000))
        async with Database(upgraded_url) as database:
            executions = Executions(database, new_id=lambda: f"{prefix}{next(numbers)}")
            events = Events(database, executions)
            total = 0
            while count := await events.dispatch():
                total += count
            return total

    shares = await asyncio.gather(*(work(f"w{n}-") for n in range(4)))

    assert 120 == sum(shares)
    assert 240 == len(world.executions())
    assert 240 == world.value('SELECT sum("triggerCount") FROM workflow_triggers')
    assert 0 == world.value("SELECT count(*) FROM reconciler.events WHERE dispatched_at IS NULL")


POISON: dict[str, dict[str, Any]] = {
    "larger than": {"data": {"text": "x" * MAX_DATA}},
    "neither a trigger type": {"type_": "nonsense"},
    "SCHEDULE is not started by events": {"type_": "SCHEDULE"},
    "not an object but of type array": {"data": [1]},
    "nested deeper": {"data": '{"a":' + "[" * 2000 + "]" * 2000 + "}"},
    "too large": {"data": '{"a": 1e400}'},
    "longer than 200": {"id": "x" * 300},
}


@pytest.mark.parametrize("words", sorted(POISON))
async def test_a_poison_event_holds_up_no_other_and_shows_its_error(
    world: Tenants, events: Events, database: Database, words: str
) -> None:
    insert(world, **{"id": "poison", **POISON[words]})
    insert(world, id="good")

    assert 2 == await events.dispatch()

    assert 2 == len(world.executions())
    [bad] = await EventRecords(database).page(EventFilter(state=EventState.FAILED))
    assert words in str(bad.error)
    assert 0 == await events.dispatch(), "it is not tried for ever"


async def test_a_filter_that_fails_stops_its_trigger_alone(
    world: Tenants, events: Events, database: Database
) -> None:
    world.trigger("acme-intake", "broken", filters={"documentType": {"near": "x"}})

    sent = await send(events)

    assert 2 == len(sent.executions)
    assert "acme/intake, trigger broken: the filters are wrong at" in str(sent.error)
    assert EventState.FAILED is (await _record(database)).state
    await _repaired(world, events, database)


async def _repaired(world: Tenants, events: Events, database: Database) -> None:
    """Once the filter is repaired, dispatching again starts what was missing and nothing twice."""
    world.sql(
        "UPDATE workflow_triggers SET \"eventFilters\" = NULL WHERE id = 'acme-intake-broken'"
    )
    await EventRecords(database).again("acme", "e1")
    assert 1 == await events.dispatch()

    assert 3 == len(world.executions())
    record = await _record(database)
    assert (EventState.DISPATCHED, 3, None) == (record.state, record.executions, record.error)


async def _record(database: Database) -> Any:
    return await EventRecords(database).get("acme", "e1")


async def test_an_event_that_the_database_refuses_waits_alone(
    world: Tenants, events: Events, database: Database
) -> None:
    world.sql(
        "ALTER TABLE workflow_executions ADD CONSTRAINT picky "
        "CHECK (\"triggerData\"->>'documentType' <> 'poison')"
    )
    world.sql('UPDATE workflow_triggers SET "eventFilters" = NULL')
    insert(world, id="poison", data={"documentType": "poison"})
    insert(world, id="good")

    assert 2 == await events.dispatch()

    assert 2 == len(world.executions())
    [bad] = await EventRecords(database).page(EventFilter(state=EventState.WAITING))
    assert ("poison", 1) == (bad.id, bad.attempts)
    assert "picky" in str(bad.error)
    assert 0 == await events.dispatch(), "it waits a little before it is tried again"

    world.sql("ALTER TABLE workflow_executions DROP CONSTRAINT picky")
    world.sql("UPDATE reconciler.events SET due_at = clock_timestamp()")
    assert 1 == await events.dispatch()
    assert 4 == len(world.executions())


async def test_a_full_queue_makes_the_event_wait_and_nobody_else(
    world: Tenants, events: Events, database: Database
) -> None:
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, max_queued) "
        "VALUES ('acme-intake', 1)"
    )
    await send(events, id="e0")

    sent = await send(events, id="e1")

    assert (True, ["acme/archive"]) == (sent.waiting, [one.automation for one in sent.executions])
    assert "waits for room in the queue of acme/intake" in str(sent.error)
    world.sql("UPDATE reconciler.automation_runtime SET max_queued = 5")
    world.sql("UPDATE reconciler.events SET due_at = clock_timestamp()")
    assert 1 == await events.dispatch()
    assert 4 == len(world.executions())
    assert EventState.DISPATCHED is (await _record(database)).state


async def test_what_an_event_started_is_not_started_again_once_its_executions_are_gone(
    world: Tenants, events: Events, database: Database
) -> None:
    await send(events)
    world.trigger("acme-intake", "late")
    world.sql("DELETE FROM workflow_executions")

    await EventRecords(database).again("acme", "e1")
    assert 1 == await events.dispatch()

    assert [("acme-intake-late", DOCUMENT)] == world.executions()
    record = await _record(database)
    assert (EventState.DISPATCHED, 3) == (record.state, record.executions)


async def test_an_event_that_waits_for_room_starts_nothing_twice(
    world: Tenants, events: Events
) -> None:
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, max_queued) "
        "VALUES ('acme-intake', 1)"
    )
    await send(events, id="e0")
    await send(events, id="e1")
    world.sql("DELETE FROM workflow_executions")
    world.sql("UPDATE reconciler.events SET due_at = clock_timestamp()")

    assert 1 == await events.dispatch()

    assert [("acme-intake-scans", DOCUMENT)] == world.executions()


async def test_an_event_that_waits_for_days_goes_on_waiting(
    world: Tenants, events: Events, database: Database
) -> None:
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, max_queued) "
        "VALUES ('acme-intake', 1)"
    )
    await send(events, id="e0")
    await send(events, id="e1")
    world.sql("UPDATE reconciler.events SET attempts = 5000, due_at = clock_timestamp()")

    await events.dispatch()

    record = await _record(database)
    assert (EventState.WAITING, 5001) == (record.state, record.attempts)
    assert "waits for room" in str(record.error)


async def test_a_large_fan_out_is_one_transaction(world: Tenants, events: Events) -> None:
    for number in range(450):
        world.trigger("acme-archive", f"t{number}")

    sent = await send(events, data={**DOCUMENT, "text": "x" * 100_000})

    assert 452 == len(sent.executions) == len(world.executions())


async def test_the_dispatcher_finds_events_and_stops_when_told(
    world: Tenants, events: Events
) -> None:
    poked = asyncio.Event()
    dispatcher = Dispatcher(events, poked.set, poll_seconds=0.02)
    stopping = asyncio.Event()
    task = asyncio.create_task(dispatcher.run(stopping))
    insert(world)

    async with asyncio.timeout(5):
        await poked.wait()
        stopping.set()
        await task

    assert 2 == len(world.executions())


async def test_pages_of_events_and_their_end(
    world: Tenants, events: Events, database: Database
) -> None:
    for number in range(5):
        await send(events, id=f"e{number}")
    await send(events, id="other", organization_id="globex")
    records = EventRecords(database)

    first = await records.page(EventFilter(organization_id="acme", limit=3))
    last = first[-1]
    rest = await records.page(
        EventFilter(organization_id="acme", before=(last.created_at, last.id), limit=3)
    )

    assert ["e4", "e3", "e2", "e1", "e0"] == [one.id for one in (*first, *rest)]
    assert ("acme", "test", DOCUMENT) == (
        last.organization,
        last.sent_by,
        (await _known(records, last.id)).data,
    )
    assert await records.get("globex", "e1") is None
    assert 6 == await records.prune(0, 10)


async def _known(records: EventRecords, id_: str) -> Any:
    return await records.get(None, id_)
