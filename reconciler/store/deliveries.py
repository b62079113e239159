"""Webhook calls that were let in become executions; refused ones are noted; both are kept a while.

Not here: whether a caller may call (`reconciler.web`), the statement (`reconciler.store.acceptance`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from reconciler.errors import ReconcilerError
from reconciler.store.acceptance import ACCEPT, EQUIP, KNOWN, ORDINARY
from reconciler.store.database import Database
from reconciler.store.executions.encoding import clean, encode, encode_clean
from reconciler.store.executions.insert import BOUNDED
from reconciler.store.rooms import Rooms
from reconciler.trigger.execution import Accepted, NewExecution, Refusal, Status
from reconciler.trigger.rate import SLOTS, Window, wait_for_place

Rule: TypeAlias = tuple[str, int, float]  # automation, limit, period in seconds
_REMEMBERED: Final = 100_000  # automations of which we know that they have a window
_NOTE = b"""
INSERT INTO reconciler.webhook_deliveries (
    organization_id, automation_id, trigger_id, accepted, reason, execution_id, remote_address,
    body_bytes
)
SELECT o.id, automation, trigger, reason = 'duplicate', reason, execution, remote::inet, bytes
FROM unnest(
    %(organizations)s::text[], %(automations)s::text[], %(triggers)s::text[], %(reasons)s::text[],
    %(executions)s::text[], %(remotes)s::text[], %(bytes)s::integer[]
) AS v(organization, automation, trigger, reason, execution, remote, bytes)
JOIN organization AS o ON o.id = v.organization
"""
# Ids grow with time: the oldest rows are found without an index of their own.
_PRUNE = b"""
DELETE FROM reconciler.webhook_deliveries WHERE id IN (
    SELECT id FROM (
        SELECT id, received_at FROM reconciler.webhook_deliveries ORDER BY id LIMIT %(most)s
    ) AS oldest
    WHERE received_at < clock_timestamp() - make_interval(secs => %(keep)s)
)
RETURNING 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A call that was let in."""

    new: NewExecution  # its idempotency_key is the sender's id, made ours
    organization_id: str
    limit: int
    period: float  # seconds
    remote: str | None
    bytes: int
    bounded: bool = False  # its automation has a bound of its own for what may wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of it."""

    accepted: Accepted | None = None  # None: too many calls
    retry_after: float = 0.0  # seconds
    error: ReconcilerError | None = None  # it was not taken in, others of its batch were


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A call that was not let in, or was known; for the log of deliveries."""

    organization_id: str
    automation_id: str
    trigger_id: str
    reason: str
    remote: str | None
    bytes: int
    execution_id: str | None = None


class Deliveries:
    """`reconciler.webhook_deliveries` and `reconciler.webhook_rates`."""

    def __init__(self, database: Database, *, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id
        self._equipped: set[str] = set()
        self._rooms = Rooms(database)
        self._full: dict[Rule, float] = {}  # until when, by the loop's clock, no place gets free

    async def accept(self, calls: Sequence[Delivery]) -> list[Delivered]:
        """Take calls in, nearly always in one commit; the answers are in their order.

        Raises DatabaseUnreachable: nothing was taken in; DatabaseLost: perhaps it was.
        """
        batch = _Batch(calls, self._new_id, self._still_full())
        unbounded = batch.automations(bounded=False)
        await self._equip(unbounded)
        if ordinary := batch.ordinary(await self._rooms.enough(unbounded)):
            values = batch.values_of_ordinary(ordinary)
            batch.take(await self._database.execute(ORDINARY, values, prepare=True))
        if batch.settled():
            return batch.answers()
        try:
            await self._accept_rest(batch)
        except ReconcilerError as error:
            if not batch.taken:
                raise
            batch.fail(error)
        return batch.answers()

    async def _accept_rest(self, batch: _Batch) -> None:
        """Let ACCEPT decide what has no answer yet."""
        for _ in range(2):  # a second time only if an automation was deleted and made again
            await self._equip(batch.automations())
            rows = await self._execute(batch)
            bare = batch.read(rows)
            if not bare:
                break
            self._equipped -= bare
        now = asyncio.get_running_loop().time()
        self._full |= {rule: now + wait for rule, wait in batch.full.items()}
        doubtful = batch.doubtful()
        if doubtful:
            batch.read_known(await self._database.execute(KNOWN, batch.asked(doubtful)))

    def _still_full(self) -> dict[Rule, float]:
        """Name the windows in which no place gets free yet, and in how many seconds one does.

        In a flood its calls then only read whether their ids are known, and lock nothing.
        """
        now = asyncio.get_running_loop().time()
        self._full = {rule: until for rule, until in self._full.items() if until > now}
        return {rule: until - now for rule, until in self._full.items()}

    async def _execute(self, batch: _Batch) -> list[tuple[Any, ...]]:
        values = batch.values()
        if not values["ids"]:
            return []
        if not batch.bounded():
            return await self._database.execute(ACCEPT, values, prepare=True)
        async with self._database.transaction() as connection:
            await connection.execute(BOUNDED, {"automations": sorted(batch.automations())})
            cursor = await connection.execute(ACCEPT, values, prepare=True)
            return await cursor.fetchall()

    async def _equip(self, automations: set[str]) -> None:
        missing = automations - self._equipped
        if missing:
            await self._database.execute(EQUIP, {"ids": sorted(missing)})
            if len(self._equipped) > _REMEMBERED:
                self._equipped.clear()
            self._equipped |= missing

    async def note(self, rejections: Sequence[Rejection]) -> None:
        """Log calls that were refused, or known."""
        async with self._database.transaction() as connection:
            values = {
                "organizations": [one.organization_id for one in rejections],
                "automations": [one.automation_id for one in rejections],
                "triggers": [one.trigger_id for one in rejections],
                "reasons": [one.reason for one in rejections],
                "executions": [one.execution_id for one in rejections],
                "remotes": [one.remote for one in rejections],
                "bytes": [one.bytes for one in rejections],
            }
            await connection.execute(_NOTE, values)

    async def prune(self, keep: float, *, most: int = 10_000) -> int:
        """Remove up to *most* rows older than *keep* seconds, the oldest first; tell how many.

        A sender's id is known again only as long as its row, or its execution, is kept.
        """
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_PRUNE, {"keep": keep, "most": most})
            return len(await cursor.fetchall())


class _Batch:
    """Calls, each of which gets one answer; of calls with the same id only the first is asked for."""

    def __init__(
        self,
        calls: Sequence[Delivery],
        new_id: Callable[[], str],
        full: Mapping[Rule, float],
    ) -> None:
        self._calls = calls
        self.full: dict[Rule, float] = {}  # what turned out to be full, for how many seconds
        self.taken = False  # whether any call was taken in
        self._answers: dict[int, Delivered] = {}
        self._firsts: dict[tuple[str, str], int] = {}
        self._rows: dict[int, tuple[str, str]] = {}  # place -> id, data as JSON
        self._refused: set[int] = set()  # for the rate, or for no reason that we were told
        for place, call in enumerate(calls):
            key = call.new.idempotency_key
            if key is not None:
                first = self._firsts.setdefault((call.new.automation_id, key), place)
                if first != place:
                    continue
            text = encode(call.new.trigger_data)
            if text is None:
                refused = Accepted(refusal=Refusal.UNSTORABLE)
                self._answers[place] = Delivered(accepted=refused)
            else:
                self._rows[place] = (new_id(), text)
                if (wait := full.get(_rule(call))) is not None:
                    self._refuse(place, wait)

    def _refuse(self, place: int, wait: float) -> None:
        self._refused.add(place)
        self._answers[place] = Delivered(retry_after=wait)

    def automations(self, *, bounded: bool = True) -> set[str]:
        """Name the automations of calls without an answer; or only those *bounded* by nothing."""
        calls = (self._calls[place] for place in self._open())
        return {call.new.automation_id for call in calls if bounded or not call.bounded}

    def bounded(self) -> bool:
        return any(self._calls[place].bounded for place in self._open())

    def _open(self) -> list[int]:
        return [place for place in self._rows if place not in self._answers]

    def settled(self) -> bool:
        """Tell whether nothing is left to ask: each call has an answer that is no refusal."""
        return not self._refused and not self._open()

    def ordinary(self, automations: Collection[str]) -> list[int]:
        """Name the calls of *automations* that ORDINARY can take."""
        return [
            place
            for place in self._open()
            if self._calls[place].new.automation_id in automations
            and not self._calls[place].bounded
        ]

    def values_of_ordinary(self, places: Sequence[int]) -> dict[str, Any]:
        """Give the parameters of ORDINARY."""
        ranks: Counter[str] = Counter()
        rules: dict[str, Delivery] = {}
        rows: list[str] = []
        for place in places:
            call = self._calls[place]
            automation = call.new.automation_id
            rules[automation] = call
            ranks[automation] += 1
            id_, data = self._rows[place]
            head = {
                "id": id_,
                "automation": automation,
                "trigger": call.new.trigger_id,
                "key": call.new.idempotency_key,
                "method": call.new.method,
                "rank": ranks[automation],
                "remote": call.remote,
                "bytes": call.bytes,
            }
            rows.append(f'{encode_clean(head)[:-1]},"data":{data}}}')
        windows = [
            {"automation": id_, "limit": call.limit, "size": call.period / SLOTS}
            for id_, call in rules.items()
        ]
        return {"calls": f"[{','.join(rows)}]", "windows": encode_clean(windows)}

    def take(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Read the answers of ORDINARY: the ids of the executions that were made."""
        made = {row[0] for row in rows}
        for place, (id_, _) in self._rows.items():
            if id_ in made:
                self._take(place)

    def _take(self, place: int) -> None:
        accepted = Accepted(id=self._rows[place][0], status=Status.QUEUED, fresh=True)
        self._answers[place] = Delivered(accepted=accepted)
        self.taken = True

    def fail(self, error: ReconcilerError) -> None:
        """Answer what has no answer yet, or was refused and may be known: nobody knows."""
        for place in {*self._open(), *self._refused}:
            self._answers[place] = Delivered(error=error)

    def values(self) -> dict[str, Any]:
        """Give the parameters of ACCEPT for the calls that have no answer yet."""
        self._asked = self._open()
        calls = [self._calls[place] for place in self._asked]
        return {
            "ids": [self._rows[place][0] for place in self._asked],
            "data": f"[{','.join(self._rows[place][1] for place in self._asked)}]",
            "automations": [call.new.automation_id for call in calls],
            "triggers": [call.new.trigger_id for call in calls],
            "keys": [clean(call.new.idempotency_key) for call in calls],
            "methods": [call.new.method for call in calls],
            "limits": [call.limit for call in calls],
            "periods": [call.period for call in calls],
            "remotes": [call.remote for call in calls],
            "bytes": [call.bytes for call in calls],
        }

    def read(self, rows: Sequence[tuple[Any, ...]]) -> set[str]:
        """Read the answers of ACCEPT; gives automations that turned out to have no window."""
        bare: set[str] = set()
        for number, fresh, why, known, status, *window in rows:
            place = self._asked[number - 1]
            if fresh:
                self._take(place)
            elif why == "known":
                self._answers[place] = _known(known, status)
            elif why == "bare":
                bare.add(self._calls[place].new.automation_id)
            elif why == "rate":
                wait = self._wait(place, window)
                self.full[_rule(self._calls[place])] = wait
                self._refuse(place, wait)
            elif why is not None:
                self._answers[place] = Delivered(accepted=Accepted(refusal=Refusal(why)))
        return bare

    def _wait(self, place: int, window: Sequence[Any]) -> float:
        slot, size, counts, now = window
        call = self._calls[place]
        found = Window(slot=slot, slot_seconds=size, counts=tuple(counts))
        return wait_for_place(found, seconds=call.period, now=now)

    def doubtful(self) -> list[int]:
        """Name the calls whose id another daemon may have taken in at the same moment."""
        places = (p for p in self._rows if p not in self._answers or p in self._refused)
        return [place for place in places if self._calls[place].new.idempotency_key is not None]

    def asked(self, places: Sequence[int]) -> dict[str, list[Any]]:
        """Give the parameters of KNOWN."""
        calls = [self._calls[place].new for place in places]
        return {
            "automations": [new.automation_id for new in calls],
            "keys": [clean(new.idempotency_key) for new in calls],
            "places": list(places),
        }

    def read_known(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Read the answers of KNOWN."""
        for place, known, status in rows:
            if known is not None:
                self._answers[place] = _known(known, status)

    def answers(self) -> list[Delivered]:
        return [self._answer(place) for place in range(len(self._calls))]

    def _answer(self, place: int) -> Delivered:
        found = self._answers.get(place)
        if found is not None:
            return found
        new = self._calls[place].new
        first = self._firsts.get((new.automation_id, new.idempotency_key or ""), place)
        given = self._answers.get(first)
        if given is None:  # its automation went while we asked
            return Delivered(accepted=Accepted(refusal=Refusal.UNKNOWN))
        if given.accepted is None or given.accepted.id is None:  # refused, all of them
            return given
        return Delivered(accepted=replace(given.accepted, fresh=False))


def _rule(call: Delivery) -> Rule:
    return call.new.automation_id, call.limit, call.period


def _known(id_: str, status: str | None) -> Delivered:
    """Name the first execution; one whose row was removed has ended, but how is not known."""
    word = Status(status) if status else None
    return Delivered(accepted=Accepted(id=id_, status=word))
