"""Events become executions: one for each trigger that hears the event, once.

`reconciler.events` is an outbox. A call over HTTP inserts an event and its executions in one
transaction; a row that a producer inserted waits for the dispatcher, which does the same to it.
Not here: looking at events (`reconciler.store.event_records`), when the dispatcher runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, cast

from reconciler.errors import ConflictError, ReconcilerError, UnreachableError
from reconciler.resource.payload import Object, Value
from reconciler.store import event_statements as sql
from reconciler.store.database import Connection, Database
from reconciler.trigger.events import EVENT_TYPES, Heard, heard
from reconciler.trigger.execution import Accepted, Cause, NewExecution, Refusal, Status
from reconciler.trigger.jsonbody import BadJson, read_json
from reconciler.trigger.match import FilterFailed, filter_of

MAX_DATA: Final = 1024 * 1024  # bytes of an event's data as text
MAX_ID: Final = 200  # characters
BATCH: Final = 50  # events dispatched together
_CHUNK: Final = 200  # executions inserted by one statement
_CHUNK_BYTES: Final = 8 * 1024 * 1024
_ATTEMPTS: Final = 4  # of a transaction that met another one

_TYPES: Final = sorted(type_.value for type_ in EVENT_TYPES)


class Inserting(Protocol):
    """What this needs of `reconciler.store.executions`."""

    async def insert(
        self, new: Sequence[NewExecution], connection: Connection | None = None
    ) -> list[Accepted]:
        """Insert executions as part of the caller's transaction; the answers are in order."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event that somebody sends; *data* is what each workflow gets as its item."""

    organization_id: str
    id: str
    type: str
    data: Object
    sent_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """An execution that an event started, or would have started had it not been known."""

    execution_id: str
    automation_id: str
    automation: str
    trigger_id: str
    trigger: str | None
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of an event; *waiting*: the dispatcher has more to do."""

    id: str
    fresh: bool
    waiting: bool
    error: str | None
    executions: tuple[Started, ...]


@dataclass(slots=True)
class _Open:
    """An event on its way to its triggers."""

    organization_id: str
    id: str
    type: str
    created_at: datetime
    text: str | None  # its data; None: too large
    shape: str = "object"
    triggers: set[str] = field(default_factory=set)  # started, whether their executions are kept
    data: Object = field(default_factory=dict)
    heard: Heard | None = None
    errors: list[str] = field(default_factory=list)
    full: list[str] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)

    def open(self) -> None:
        """Read the type and the data; what is wrong becomes an error."""
        try:
            self.heard = heard(self.type)
            self.data = self._read()
            if len(self.id) > MAX_ID:
                message = f"the id is longer than {MAX_ID} characters"
                raise ValueError(message)  # noqa: TRY301  # all that is wrong goes one way
        except ValueError as error:
            self.errors.append(str(error))

    def _read(self) -> Object:
        if self.text is None:
            message = f"the data are larger than {MAX_DATA} bytes"
            raise BadJson(message)
        if self.shape != "object":
            message = f"the data are not an object but of type {self.shape}"
            raise BadJson(message)
        value = read_json(self.text)
        assert isinstance(value, dict)
        return value

    def execution(self, trigger_id: str, automation_id: str) -> NewExecution:
        """Ask for the run of one trigger."""
        about: dict[str, Value] = {
            "id": self.id,
            "type": self.type,
            "createdAt": self.created_at.isoformat(),
        }
        return NewExecution(
            automation_id=automation_id,
            cause=Cause.EVENT,
            trigger_data=cast("Value", self.data),
            trigger_id=trigger_id,
            idempotency_key=f"evt:{self.id}:{trigger_id}",
            metadata={"event": about},
        )

    @property
    def error(self) -> str | None:
        """What is to be read about it, if anything went wrong."""
        said = list(self.errors)
        if self.full:
            said.append(f"waits for room in the queue of {', '.join(sorted(set(self.full))[:5])}")
        return "; ".join(said)[:1000] or None


@dataclass(frozen=True, slots=True)
class _Match:
    """An event and a trigger that hears it."""

    event: _Open
    trigger_id: str
    trigger: str | None
    automation_id: str
    automation: str

    def execution(self) -> NewExecution:
        """Ask for its run."""
        return self.event.execution(self.trigger_id, self.automation_id)

    def started(self, id_: str, status: Status) -> Started:
        """Tell of its run."""
        return Started(
            execution_id=id_,
            automation_id=self.automation_id,
            automation=self.automation,
            trigger_id=self.trigger_id,
            trigger=self.trigger,
            status=status.value,
        )


class Events:
    """Sends events, and dispatches those that were inserted by others."""

    def __init__(self, database: Database, executions: Inserting) -> None:
        self._database = database
        self._executions = executions

    async def send(self, new: NewEvent) -> Sent:
        """Insert an event and start its executions at once, in one transaction.

        Raises EventIdTaken; a ValueError for a type that is none; ConflictError when others were
        in the way again and again.
        """
        heard(new.type)
        attempt = 1
        while True:
            try:
                return await self._send(new)
            except _Met as met:
                if attempt == _ATTEMPTS:
                    raise met.error from None
                attempt += 1

    async def _send(self, new: NewEvent) -> Sent:
        text = json.dumps(new.data)
        values = {
            "organization": new.organization_id,
            "id": new.id,
            "type": new.type,
            "data": text,
            "sent_by": new.sent_by,
        }
        try:
            async with self._database.transaction() as connection:
                cursor = await connection.execute(sql.ADD, values)
                made = await cursor.fetchone()
                if made is None:
                    return await _known(connection, new, values)
                event = _Open(new.organization_id, new.id, new.type, made[0], text)
                await self._deliver(connection, [event])
        except EventIdTaken:
            raise
        except ConflictError as conflict:
            raise _Met(conflict) from None
        started = sorted(event.started, key=lambda one: (one.automation, one.trigger or ""))
        return Sent(
            id=new.id,
            fresh=True,
            waiting=bool(event.full),
            error=event.error,
            executions=tuple(started),
        )

    async def dispatch(self, limit: int = BATCH) -> int:
        """Dispatch up to *limit* events that are due; gives how many were looked at.

        One event that can't be dispatched does not hold up the others: it is tried alone, and
        later again, with its error beside it.
        """
        try:
            async with self._database.transaction() as connection:
                events = await _take(connection, sql.DUE, {"limit": limit})
                await self._deliver(connection, events)
        except UnreachableError:
            raise
        except ReconcilerError:  # it may be about any of them
            return await self._dispatch_singly(limit)
        return len(events)

    async def _dispatch_singly(self, limit: int) -> int:
        async with self._database.transaction() as connection:
            due = await _take(connection, sql.DUE, {"limit": limit})
        for event in due:
            await self.dispatch_one(event.organization_id, event.id)
        return len(due)

    async def dispatch_one(self, organization_id: str, id_: str) -> None:
        """Dispatch one event that waits, unless somebody else does; an error is noted beside it."""
        key = {"organization": organization_id, "id": id_}
        try:
            async with self._database.transaction() as connection:
                await self._deliver(
                    connection, await _take(connection, sql.ONE, {**key, "limit": 1})
                )
        except UnreachableError:
            raise
        except ReconcilerError as error:
            await self._database.execute(sql.POSTPONE, {**key, "error": str(error)[:1000]})

    async def started(self, organization_id: str, id_: str) -> list[Started]:
        """List the executions that an event started."""
        async with self._database.transaction() as connection:
            return await _started(connection, organization_id, id_)

    async def _deliver(self, connection: Connection, events: Sequence[_Open]) -> None:
        """Start what *events* start and note it beside them, within a transaction."""
        if not events:
            return
        for event in events:
            event.open()
        matches = await _matches(connection, [e for e in events if not e.errors])
        for chunk in _chunks(matches):
            new = [match.execution() for match in chunk]
            for match, answer in zip(
                chunk, await self._executions.insert(new, connection), strict=True
            ):
                if answer.id is not None and answer.status is not None:
                    match.event.started.append(match.started(answer.id, answer.status))
                    match.event.triggers.add(match.trigger_id)
                elif answer.refusal is Refusal.FULL:
                    match.event.full.append(match.automation)
                elif answer.refusal is Refusal.UNSTORABLE:
                    match.event.errors.append(f"{match.automation} can't store the data")
        values = {
            "organizations": [event.organization_id for event in events],
            "ids": [event.id for event in events],
            "executions": [len(event.triggers) for event in events],
            "started": [json.dumps(sorted(event.triggers)) for event in events],
            "errors": [event.error for event in events],
            "finished": [not event.full for event in events],
        }
        await connection.execute(sql.SETTLE, values)


class EventIdTaken(ConflictError):
    """The id is that of another event."""


class _Met(Exception):
    """Two transactions met; the loser tries again."""

    def __init__(self, error: ConflictError) -> None:
        super().__init__(str(error))
        self.error = error


async def _known(connection: Connection, new: NewEvent, values: Mapping[str, Any]) -> Sent:
    """Tell what became of an event that was sent before; raises EventIdTaken."""
    cursor = await connection.execute(sql.KNOWN, values)
    row = await cursor.fetchone()
    if row is None:
        message = f"the event {new.id} was removed while it was sent"
        raise ConflictError(message)
    type_, same_data, waiting, error = row
    if not same_data or (type_ != new.type and _heard_or_none(type_) != heard(new.type)):
        message = f"{new.id} is the id of another event"
        raise EventIdTaken(message, hint="send it with an id of its own")
    started = await _started(connection, new.organization_id, new.id)
    return Sent(id=new.id, fresh=False, waiting=waiting, error=error, executions=tuple(started))


def _heard_or_none(type_: str) -> Heard | None:
    try:
        return heard(type_)
    except ValueError:
        return None


async def _take(connection: Connection, statement: bytes, values: dict[str, Any]) -> list[_Open]:
    cursor = await connection.execute(statement, {**values, "most": MAX_DATA})
    return [
        _Open(organization, id_, type_, created_at, text, shape or "null", set(started))
        async for organization, id_, type_, created_at, started, shape, text in cursor
    ]


async def _matches(connection: Connection, events: Sequence[_Open]) -> list[_Match]:
    """Find the triggers that hear each event, that it has not started, and whose filters fit."""
    if not events:
        return []
    told = [event.heard for event in events if event.heard is not None]
    values = {
        "places": list(range(len(events))),
        "organizations": [event.organization_id for event in events],
        "names": [one.name for one in told],
        "types": [one.type and one.type.value for one in told],
        "event_types": _TYPES,
    }
    found = []
    cursor = await connection.execute(sql.LISTENERS, values)
    async for place, trigger_id, automation_id, filters, automation, trigger in cursor:
        event = events[place]
        if trigger_id in event.triggers:
            continue
        try:
            if filter_of(filters)(event.data):
                found.append(_Match(event, trigger_id, trigger, automation_id, automation))
        except FilterFailed as error:
            event.errors.append(f"{automation}, trigger {trigger or trigger_id}: {error}")
    return found


def _chunks(matches: Sequence[_Match]) -> Iterator[list[_Match]]:
    """Part *matches* so that one statement neither has too many rows nor too much data."""
    chunk: list[_Match] = []
    size = 0
    for match in matches:
        more = len(match.event.text or "")
        if chunk and (len(chunk) == _CHUNK or size + more > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(match)
        size += more
    if chunk:
        yield chunk


async def _started(connection: Connection, organization_id: str, id_: str) -> list[Started]:
    values = {"organization": organization_id, "id": id_, "event_types": _TYPES}
    cursor = await connection.execute(sql.STARTED, values)
    return [
        Started(
            execution_id=row[0],
            automation_id=row[1],
            automation=row[2],
            trigger_id=row[3],
            trigger=row[4],
            status=row[5],
        )
        async for row in cursor
    ]
