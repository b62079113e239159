"""Whether a turn may remove something: the revision must lead on from what was applied."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from reconciler.app import Session
from reconciler.app.turn import DaemonTurns, Known
from reconciler.errors import RevisionGone
from reconciler.plan.restraint import Restraint
from reconciler.source.sight import Sighting
from reconciler.store.sources import SourceState
from tests.doubles.followed import MemorySpecs, sighting

NEWEST = sighting("bbbbbbbbbbbb")
DIRTY = replace(NEWEST, name="bbbbbbbbbbbb+31d21cfc", commit=None)
BEFORE, ELSEWHERE = "aaaaaaaaaaaa", "eeeeeeeeeeee"


class History(MemorySpecs):
    """One commit that leads to the newest one, and others that don't."""

    async def descends(self, sighting: Sighting, ancestor: str) -> bool:
        return ancestor == BEFORE


class NoGit(MemorySpecs):
    """A folder that is gone."""

    async def descends(self, sighting: Sighting, ancestor: str) -> bool:
        message = "specs does not lie in a git repository"
        raise RevisionGone(message)


@pytest.mark.parametrize(
    "newest, applied, rewritten_from, found",
    [
        (NEWEST, None, None, None),
        (NEWEST, BEFORE, None, None),
        (NEWEST, ELSEWHERE, None, ELSEWHERE),
        (NEWEST, BEFORE, ELSEWHERE, ELSEWHERE),
        (NEWEST, f"{BEFORE}+31d21cfc", None, None),
        (NEWEST, f"{ELSEWHERE}+31d21cfc", None, ELSEWHERE),
        (NEWEST, "folder+31d21cfc", None, None),
        (NEWEST, BEFORE, f"{BEFORE}+31d21cfc", None),
        (DIRTY, BEFORE, f"{BEFORE}+31d21cfc", None),
        (DIRTY, BEFORE, ELSEWHERE, ELSEWHERE),
        (None, BEFORE, ELSEWHERE, ELSEWHERE),
    ],
)
async def test_the_history_is_rewritten_when_it_lacks_the_commit_that_was_applied(
    newest: Sighting | None, applied: str | None, rewritten_from: str | None, found: str | None
) -> None:
    state = SourceState(applied=applied, rewritten_from=rewritten_from)
    assert found == await distrust(History(NEWEST), newest, state)


@pytest.mark.parametrize("applied, found", [(BEFORE, BEFORE), (NEWEST.name, None)])
async def test_without_git_only_what_was_applied_itself_is_trusted(
    applied: str, found: str | None
) -> None:
    assert found == await distrust(NoGit(NEWEST), NEWEST, SourceState(applied=applied))


async def distrust(specs: MemorySpecs, newest: Sighting | None, state: SourceState) -> str | None:
    session = cast("Session", SimpleNamespace(settings=None, database=None))
    known = Known(
        state=state,
        restraint=Restraint(),
        pin=None,
        sighting=newest,
        failures={},
        undeclared=frozenset(),
        now=datetime.now(UTC),
    )
    return await DaemonTurns(session, specs)._distrust(known)
