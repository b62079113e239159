"""Webhook calls that were let in become executions, many in one transaction; refused ones are noted.

One transaction finds what is known already, takes places in each automation's rate window,
inserts the executions and keeps the sender's ids. The rows of the rate windows are locked
first and in order, so that daemons neither count past each other nor wait in a circle. Not
here: whether a caller may call (`reconciler.web`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.store.database import Connection, Database
from reconciler.store.executions.insert import insert
from reconciler.trigger.execution import Accepted, NewExecution, Refusal, Status
from reconciler.trigger.rate import Taken, Window, take

_EQUIP = b"""
INSERT INTO reconciler.webhook_rates (automation_id)
SELECT a.id FROM automations AS a
WHERE a.id = ANY(%(ids)s)
  AND NOT EXISTS (SELECT FROM reconciler.webhook_rates AS r WHERE r.automation_id = a.id)
ORDER BY a.id
ON CONFLICT DO NOTHING
"""
_LOCK = b"""
SELECT automation_id, slot, slot_seconds, counts FROM reconciler.webhook_rates
WHERE automation_id = ANY(%(ids)s) ORDER BY automation_id FOR UPDATE
"""
# After the lock, and so with all that another daemon committed before it let go.
_KNOWN = b"""
SELECT v.place, COALESCE(e.id, d.execution_id), e.status::text,
    extract(epoch FROM clock_timestamp())::float8
FROM unnest(%(automations)s::text[], %(keys)s::text[]) WITH ORDINALITY AS v(automation, key, place)
LEFT JOIN workflow_executions AS e
    ON e."automationId" = v.automation AND e."idempotencyKey" = v.key
LEFT JOIN reconciler.webhook_deliveries AS d
    ON d.automation_id = v.automation AND d.replay_key = v.key AND d.accepted
ORDER BY v.place
"""
_KEEP = b"""
WITH counted AS (
    UPDATE reconciler.webhook_rates AS r
    SET slot = v.slot, slot_seconds = v.seconds, counts = v.counts::integer[]
    FROM unnest(
        %(ids)s::text[], %(slots)s::bigint[], %(sizes)s::float8[], %(counts)s::text[]
    ) AS v(id, slot, seconds, counts)
    WHERE r.automation_id = v.id
)
INSERT INTO reconciler.webhook_deliveries (
    organization_id, automation_id, trigger_id, accepted, replay_key, execution_id,
    remote_address, body_bytes
)
SELECT organization, automation, trigger, true, key, execution, remote::inet, bytes
FROM unnest(
    %(organizations)s::text[], %(automations)s::text[], %(triggers)s::text[], %(keys)s::text[],
    %(executions)s::text[], %(remotes)s::text[], %(bytes)s::integer[]
) AS v(organization, automation, trigger, key, execution, remote, bytes)
ON CONFLICT DO NOTHING
"""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of it."""

    accepted: Accepted | None = None  # None: too many calls
    retry_after: float = 0.0  # seconds


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

    async def accept(self, calls: Sequence[Delivery]) -> list[Delivered]:
        """Take calls in, in one transaction; the answers are in their order.

        Raises DatabaseUnreachable: nothing was taken in; DatabaseLost: perhaps it was.
        """
        async with self._database.transaction() as connection:
            async with connection.pipeline():
                return await _Batch(connection, calls, self._new_id).accept()

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
    def __init__(
        self, connection: Connection, calls: Sequence[Delivery], new_id: Callable[[], str]
    ) -> None:
        self._connection = connection
        self._calls = calls
        self._new_id = new_id
        self._answers: dict[int, Delivered] = {}
        self._firsts: dict[tuple[str, str], int] = {}
        self._taken: dict[str, Taken] = {}

    async def accept(self) -> list[Delivered]:
        windows, now = await self._read()
        chosen = self._choose(windows, now)
        if chosen:
            await self._insert(chosen)
        return [self._answer(place) for place in range(len(self._calls))]

    async def _read(self) -> tuple[dict[str, Window], float]:
        """Lock the windows, then find the calls that are known."""
        ids = {"ids": sorted({call.new.automation_id for call in self._calls})}
        asked = {
            "automations": [call.new.automation_id for call in self._calls],
            "keys": [call.new.idempotency_key for call in self._calls],
        }
        await self._connection.execute(_EQUIP, ids, prepare=True)
        locked = await self._connection.execute(_LOCK, ids, prepare=True)
        known = await self._connection.execute(_KNOWN, asked, prepare=True)
        windows = {
            row[0]: Window(slot=row[1], slot_seconds=row[2], counts=tuple(row[3]))
            for row in await locked.fetchall()
        }
        now = 0.0
        for place, execution, status, now in await known.fetchall():  # noqa: B007 - the last counts
            if execution is not None:
                # A run whose row was removed has ended; what is left is that it was accepted.
                word = Status(status) if status else None
                self._answers[place - 1] = Delivered(accepted=Accepted(id=execution, status=word))
        return windows, now

    def _choose(self, windows: dict[str, Window], now: float) -> list[int]:
        """Pick the calls that become executions: not known, the first with its key, in the limit."""
        wanting: dict[str, list[int]] = {}
        for place, call in enumerate(self._calls):
            if place in self._answers:
                continue
            automation, key = call.new.automation_id, call.new.idempotency_key
            if key is not None and self._firsts.setdefault((automation, key), place) != place:
                continue
            if automation in windows:
                wanting.setdefault(automation, []).append(place)
            else:
                unknown = Accepted(refusal=Refusal.UNKNOWN)
                self._answers[place] = Delivered(accepted=unknown)
        chosen: list[int] = []
        for automation, places in wanting.items():
            rule = self._calls[places[-1]]
            taken = take(
                windows[automation], len(places), limit=rule.limit, seconds=rule.period, now=now
            )
            self._taken[automation] = taken
            chosen += places[: taken.granted]
            for place in places[taken.granted :]:
                self._answers[place] = Delivered(retry_after=taken.retry_after)
        return sorted(chosen)

    async def _insert(self, chosen: Sequence[int]) -> None:
        new = [self._calls[place].new for place in chosen]
        accepted = await insert(self._connection, new, self._new_id)
        fresh: list[tuple[Delivery, str]] = []
        for place, one in zip(chosen, accepted, strict=True):
            self._answers[place] = Delivered(accepted=one)
            call = self._calls[place]
            if one.fresh and one.id is not None:
                fresh.append((call, one.id))
            else:
                self._give_back(call.new.automation_id)
        if fresh:
            await self._connection.execute(_KEEP, self._kept(fresh), prepare=True)

    def _give_back(self, automation: str) -> None:
        """Return the place of a call that became nothing."""
        taken = self._taken[automation]
        first, *rest = taken.window.counts
        window = replace(taken.window, counts=(first - 1, *rest))
        self._taken[automation] = replace(taken, window=window)

    def _kept(self, fresh: Sequence[tuple[Delivery, str]]) -> dict[str, list[Any]]:
        windows = {id_: taken.window for id_, taken in self._taken.items() if taken.granted}
        return {
            "ids": list(windows),
            "slots": [window.slot for window in windows.values()],
            "sizes": [window.slot_seconds for window in windows.values()],
            "counts": [_array(window.counts) for window in windows.values()],
            "organizations": [call.organization_id for call, _ in fresh],
            "automations": [call.new.automation_id for call, _ in fresh],
            "triggers": [call.new.trigger_id for call, _ in fresh],
            "keys": [call.new.idempotency_key for call, _ in fresh],
            "executions": [id_ for _, id_ in fresh],
            "remotes": [call.remote for call, _ in fresh],
            "bytes": [call.bytes for call, _ in fresh],
        }

    def _answer(self, place: int) -> Delivered:
        found = self._answers.get(place)
        if found is not None:
            return found
        new = self._calls[place].new
        first = self._answers[self._firsts[new.automation_id, new.idempotency_key or ""]]
        accepted = first.accepted
        if accepted is None or accepted.id is None:
            return first
        return Delivered(accepted=replace(accepted, fresh=False))


def _array(counts: Sequence[int]) -> str:
    """Write an array, without the zeros at its end."""
    last = max((at for at, count in enumerate(counts) if count), default=-1)
    return "{" + ",".join(str(count) for count in counts[: last + 1]) + "}"
