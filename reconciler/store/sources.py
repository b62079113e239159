"""What the daemons know together about where specs come from: last good, last applied, problems.

One row: all daemons of a database follow the same specs. Not here: reading specs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.store.database import Database

_ROW = "specs"
_TURN = "a turn failed: "  # how problems begin that the next good turn of any daemon ends

_LOAD = b"""
SELECT place, seen_revision, seen_at, problem, problem_at, good_revision, applied_revision,
       applied_at, rewritten_from, turned_at, asked_at,
       extract(epoch FROM clock_timestamp() - turned_at)::float8
FROM reconciler.sources WHERE name = %(name)s
"""

_SAW = b"""
INSERT INTO reconciler.sources AS s (
    name, place, seen_revision, seen_at, problem, problem_at
) VALUES (
    %(name)s, %(place)s, %(seen)s, clock_timestamp(), %(problem)s,
    CASE WHEN %(problem)s::text IS NOT NULL THEN clock_timestamp() END
)
ON CONFLICT (name) DO UPDATE SET
    place = EXCLUDED.place, seen_revision = COALESCE(EXCLUDED.seen_revision, s.seen_revision),
    seen_at = EXCLUDED.seen_at, problem = EXCLUDED.problem,
    problem_at = CASE WHEN EXCLUDED.problem IS NOT DISTINCT FROM s.problem
        THEN s.problem_at ELSE EXCLUDED.problem_at END
"""

_FAILED = b"""
INSERT INTO reconciler.sources AS s (name, place, problem, problem_at)
VALUES (%(name)s, %(place)s, %(problem)s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET
    problem = EXCLUDED.problem,
    problem_at = CASE WHEN EXCLUDED.problem = s.problem THEN s.problem_at ELSE EXCLUDED.problem_at
        END
"""

_MENDED = b"""
UPDATE reconciler.sources
SET problem = %(problem)s,
    problem_at = CASE WHEN %(problem)s::text IS NOT NULL THEN clock_timestamp() END
WHERE name = %(name)s AND starts_with(problem, %(mark)s)
"""

_TURNED = b"""
INSERT INTO reconciler.sources AS s (
    name, place, good_revision, applied_revision, applied_at, rewritten_from, turned_at
) VALUES (
    %(name)s, %(place)s, %(good)s, %(applied)s,
    CASE WHEN %(applied)s::text IS NOT NULL THEN clock_timestamp() END, %(rewritten_from)s,
    clock_timestamp()
)
ON CONFLICT (name) DO UPDATE SET
    good_revision = COALESCE(EXCLUDED.good_revision, s.good_revision),
    applied_revision = COALESCE(EXCLUDED.applied_revision, s.applied_revision),
    applied_at = CASE WHEN EXCLUDED.applied_revision IS NULL
            OR EXCLUDED.applied_revision IS NOT DISTINCT FROM s.applied_revision
        THEN s.applied_at ELSE EXCLUDED.applied_at END,
    rewritten_from = EXCLUDED.rewritten_from, turned_at = EXCLUDED.turned_at
"""

_APPLIED = b"""
INSERT INTO reconciler.sources AS s (name, place, applied_revision, applied_at)
VALUES (%(name)s, '', %(applied)s, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET
    applied_revision = EXCLUDED.applied_revision,
    applied_at = CASE WHEN EXCLUDED.applied_revision = s.applied_revision
        THEN s.applied_at ELSE EXCLUDED.applied_at END
"""

_ASK = b"""
INSERT INTO reconciler.sources (name, place, asked_at)
VALUES (%(name)s, '', clock_timestamp())
ON CONFLICT (name) DO UPDATE SET asked_at = EXCLUDED.asked_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """The row; revisions are what records call a commit, or a digest of a folder's texts."""

    place: str = ""
    seen: str | None = None  # the newest one that somebody looked at
    seen_at: datetime | None = None
    problem: str | None = None  # why the newest one does not apply, or why turns fail
    problem_at: datetime | None = None
    good: str | None = None  # the newest one without errors
    applied: str | None = None  # the last one that was carried out
    applied_at: datetime | None = None
    rewritten_from: str | None = None  # applied once, and no longer part of the history
    turned_at: datetime | None = None
    asked_at: datetime | None = None
    turned_ago: float | None = None  # seconds, by the database's clock


class Sources:
    """`reconciler.sources`; times are the database's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> SourceState:
        """Load what is known; nothing yet is an empty state."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(_LOAD, {"name": _ROW})
            row = await cursor.fetchone()
        if row is None:
            return SourceState()
        return SourceState(
            place=row[0],
            seen=row[1],
            seen_at=row[2],
            problem=row[3],
            problem_at=row[4],
            good=row[5],
            applied=row[6],
            applied_at=row[7],
            rewritten_from=row[8],
            turned_at=row[9],
            asked_at=row[10],
            turned_ago=row[11],
        )

    async def saw(self, place: str, revision: str | None, problem: str | None) -> None:
        """Note the newest revision, and what is wrong with it if something is."""
        await self._execute(_SAW, {"place": place, "seen": revision, "problem": problem})

    async def failed(self, place: str, problem: str) -> None:
        """Note why a turn failed."""
        await self._execute(_FAILED, {"place": place, "problem": f"{_TURN}{problem}"})

    async def mended(self, problem: str | None) -> None:
        """Note that turns succeed again; *problem* is what is wrong besides."""
        await self._execute(_MENDED, {"problem": problem, "mark": _TURN})

    async def turned(
        self, place: str, *, good: str | None, applied: str | None, rewritten_from: str | None
    ) -> None:
        """Note the end of a turn that accepted *good*; *applied*: the one that is in force now."""
        values = {"place": place, "good": good, "applied": applied}
        await self._execute(_TURNED, {**values, "rewritten_from": rewritten_from})

    async def applied(self, revision: str) -> None:
        """Note that somebody carried out *revision* by hand; that is no turn of a daemon."""
        await self._execute(_APPLIED, {"applied": revision})

    async def ask(self) -> None:
        """Ask all daemons to look for a newer revision now."""
        await self._execute(_ASK, {})

    async def _execute(self, statement: bytes, values: dict[str, Any]) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(statement, {**values, "name": _ROW})
