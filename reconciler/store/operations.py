"""The journal: who applied what, when, and how each step ended.

Not here: the inventory entries that change along with a step
(`reconciler.store.inventory` writes both in one commit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NotRequired, TypedDict, Unpack

from psycopg.types.json import Jsonb

from reconciler.resource.address import Address
from reconciler.resource.payload import Object
from reconciler.store import journal
from reconciler.store.database import Database
from reconciler.store.writes import StepIntent, StepOutcome

_BEGIN = """
INSERT INTO reconciler.operations (
    id, kind, actor, host, git_revision, plan_digest, organizations
) VALUES (%(id)s, %(kind)s, %(actor)s, %(host)s, %(git_revision)s, %(plan_digest)s,
          %(organizations)s)
"""

_FINISH = """
UPDATE reconciler.operations
SET outcome = %(outcome)s, summary = %(summary)s, finished_at = clock_timestamp()
WHERE id = %(id)s
"""

_RECENT = """
SELECT id, kind, actor, host, git_revision, plan_digest, organizations, started_at, finished_at,
       outcome, summary
FROM reconciler.operations
WHERE %(organization)s::text IS NULL OR %(organization)s = ANY(organizations)
ORDER BY started_at DESC, id DESC LIMIT %(limit)s
"""

# What the one who carried it out said of it; who said nothing left nothing when it was done.
IS_WHOLE = "COALESCE((summary->>'whole')::boolean, outcome = 'done') AND kind = ANY(%(whole)s)"

_APPLIED = f"""
SELECT git_revision, max(started_at), (array_agg(actor ORDER BY started_at DESC))[1]
FROM reconciler.operations
WHERE {IS_WHOLE} AND git_revision ~ '^[0-9a-f]{{7,64}}$'
GROUP BY git_revision ORDER BY max(started_at) DESC, git_revision LIMIT %(limit)s
"""

# What was killed half-way counts as well: steps are written while it runs.
_PRESENT = f"""
SELECT o.git_revision FROM reconciler.operations AS o
WHERE o.git_revision IS NOT NULL AND (
    ({IS_WHOLE}) OR EXISTS (
        SELECT FROM reconciler.operation_steps AS s
        WHERE s.operation_id = o.id AND s.outcome = 'done'
    )
)
ORDER BY o.started_at DESC, o.id DESC LIMIT 1
"""

WHOLE = ("apply", "reconcile", "rollback")  # kinds that carry out all that a revision asks for

_STEPS = """
SELECT operation_id, ordinal, organization, kind, name, action, reason, intended_at, finished_at,
       outcome, error
FROM reconciler.operation_steps
WHERE {}
ORDER BY intended_at, ordinal
"""


class Beginning(TypedDict):
    """What is known when an operation starts."""

    id: str
    kind: str
    actor: str
    host: str
    git_revision: NotRequired[str | None]
    plan_digest: NotRequired[str | None]
    organizations: NotRequired[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A plan or an apply as it is remembered; *outcome* None: running, or killed."""

    id: str
    kind: str
    actor: str
    host: str
    git_revision: str | None
    plan_digest: str | None
    organizations: tuple[str, ...]
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    summary: Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A revision that counts as applied: when last, and by whom."""

    revision: str
    at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A step as it is remembered; *outcome* None: running, or nobody knows how it ended."""

    operation: str
    ordinal: int
    address: Address
    action: str
    reason: str
    intended_at: datetime
    finished_at: datetime | None
    outcome: str | None
    error: str | None


class Operations:
    """`reconciler.operations` and `reconciler.operation_steps`; times are the database's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, **facts: Unpack[Beginning]) -> str:
        """Write down that an operation starts; returns its id."""
        values = {
            "id": facts["id"],
            "kind": facts["kind"],
            "actor": facts["actor"],
            "host": facts["host"],
            "git_revision": facts.get("git_revision"),
            "plan_digest": facts.get("plan_digest"),
            "organizations": list(facts.get("organizations", ())),
        }
        await self._execute(_BEGIN, values)
        return facts["id"]

    async def finish(self, operation: str, outcome: str, summary: Object | None = None) -> None:
        """Write down how it ended: done, partly (something was left), failed or interrupted."""
        values = {"id": operation, "outcome": outcome, "summary": Jsonb(summary or {})}
        await self._execute(_FINISH, values)

    async def step_intended(self, step: StepIntent) -> None:
        """Write down a step that changes no inventory entry, before it is tried."""
        async with self._database.transaction() as connection:
            await connection.execute(journal.INTENDED, journal.intent_values(step))

    async def step_done(self, operation: str, ordinal: int) -> None:
        """Write down that a step succeeded."""
        await self._conclude(StepOutcome(operation=operation, ordinal=ordinal))

    async def step_failed(self, operation: str, ordinal: int, error: str) -> None:
        """Write down that a step failed, and why."""
        await self._conclude(StepOutcome(operation=operation, ordinal=ordinal, error=error))

    async def _conclude(self, outcome: StepOutcome) -> None:
        async with self._database.transaction() as connection:
            await journal.conclude(connection, outcome)

    async def recent(self, limit: int = 5, organization: str | None = None) -> list[Operation]:
        """Load the newest operations, newest first."""
        rows = await self._fetch(_RECENT, {"limit": limit, "organization": organization})
        return [
            Operation(
                id=row[0],
                kind=row[1],
                actor=row[2],
                host=row[3],
                git_revision=row[4],
                plan_digest=row[5],
                organizations=tuple(row[6]),
                started_at=row[7],
                finished_at=row[8],
                outcome=row[9],
                summary=row[10],
            )
            for row in rows
        ]

    async def applied(self, limit: int) -> list[Applied]:
        """Load the git revisions that count as applied, the last one first."""
        rows = await self._fetch(_APPLIED, {"limit": limit, "whole": list(WHOLE)})
        return [Applied(revision=row[0], at=row[1], actor=row[2]) for row in rows]

    async def present(self) -> str | None:
        """Tell the revision that something was last applied of, be it only in part."""
        rows = await self._fetch(_PRESENT, {"whole": list(WHOLE)})
        return rows[0][0] if rows else None

    async def steps(self, operation: str) -> list[StepRecord]:
        """Load the steps of an operation in their order."""
        statement = _STEPS.format("operation_id = %(operation)s")
        return read_steps(await self._fetch(statement, {"operation": operation}))

    async def unfinished_steps(self) -> list[StepRecord]:
        """Load the steps that were intended and never concluded, oldest first."""
        return read_steps(await self._fetch(_STEPS.format("outcome IS NULL"), {}))

    async def _execute(self, statement: str, values: dict[str, Any]) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(statement.encode(), values)

    async def _fetch(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(statement.encode(), values)
            return await cursor.fetchall()


def read_steps(rows: list[tuple[Any, ...]]) -> list[StepRecord]:
    """Build the steps from rows of their columns, in the order of the table."""
    return [
        StepRecord(
            operation=row[0],
            ordinal=row[1],
            address=Address(row[2], row[3], row[4]),
            action=row[5],
            reason=row[6],
            intended_at=row[7],
            finished_at=row[8],
            outcome=row[9],
            error=row[10],
        )
        for row in rows
    ]
