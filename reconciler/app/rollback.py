"""Going back to a revision that was applied before, and staying there.

A rollback is a hold on `apply` of everything that names a revision: turns work toward that one,
newer commits wait. Not here: asking the person (`reconciler.cli.rollback`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from reconciler.app import Planned, Session, actor, new_id
from reconciler.app.planning import keep_to
from reconciler.app.renames import Way, taken_back
from reconciler.app.source import specs_of
from reconciler.diagnostics import SpecError
from reconciler.engine.outcome import Report
from reconciler.errors import GitUnreachable, GuardRefused, RevisionGone, UsageError
from reconciler.plan.change import Plan
from reconciler.plan.guard import Policy
from reconciler.plan.held import withhold
from reconciler.plan.planner import PlanOptions
from reconciler.plan.restraint import Hold, Place, Restraint
from reconciler.source.sight import Sighting, Specs, fault
from reconciler.store.holds import Ends, Holds
from reconciler.store.operations import Applied, Operations
from reconciler.store.renames import names_at
from reconciler.store.sources import Sources

LISTED = 20  # revisions that are offered


@dataclass(frozen=True, slots=True, kw_only=True)
class Back:
    """A rollback that is planned: from where to where."""

    planned: Planned
    sighting: Sighting
    instead_of: str | None


async def applied(session: Session) -> Sequence[Applied]:
    """Name the revisions that were applied, the last one first."""
    return await Operations(session.database).applied(LISTED)


async def plan_rollback(
    session: Session, word: str | None, *, prune: bool, agreed: Plan | None = None
) -> Back:
    """Plan the way back to the revision *word*; None: the one before the present one.

    Raises UsageError when it was never applied, RevisionGone when git doesn't have it any more,
    StalePlan when a plan that was *agreed* to is not what there is to do any more.
    """
    operations = Operations(session.database)
    history, latest = await operations.applied(10_000), await operations.present()
    target = _pick(history, latest, word)
    sighting = await specs_of(session.settings).at(target)
    if not sighting.loaded.ok:
        raise SpecError(sighting.loaded.diagnostics)
    options = PlanOptions(prune=prune, revision=sighting.revision)
    reading = await session.observe()
    await session.safe.open_known(reading.recorded)
    compiled = await session.compile(sighting.loaded, reading)
    if not compiled.ok:
        raise SpecError(compiled.diagnostics)
    names = await names_at(session.database, sighting.revision)
    compiled = taken_back(compiled, reading, names)
    planned = session.weigh(reading, compiled, options, Policy(), frozenset())
    holds = tuple(hold for hold in await _holds(session).open() if hold.pinned is None)
    restraint = Restraint(holds=holds)
    planned = replace(planned, plan=withhold(planned.plan, restraint.reason))
    if agreed is not None:
        planned = keep_to(agreed, planned, agreed=True)
        planned = replace(planned, plan=withhold(planned.plan, restraint.reason))
    planned = replace(planned, way=Way.BACK)
    state = await Sources(session.database).load()
    known = {one.revision for one in history}
    # Only daemons have names for what is in no commit; of commits the journal knows more.
    present = latest if state.applied is None or state.applied in known else state.applied
    return Back(planned=planned, sighting=sighting, instead_of=await _origin(session, present))


async def stay(session: Session, back: Back, reason: str, lasts: timedelta | None) -> Hold:
    """Let newer commits wait from now on; comes before the first change."""
    revision = back.sighting.name
    came_from = f" from {back.instead_of}" if back.instead_of else ""
    return await _holds(session).pin(
        revision,
        instead_of=back.instead_of,
        by=actor(),
        reason=f"rolled back to {revision}{came_from}: {reason}",
        lasts=lasts,
    )


async def settle(session: Session, back: Back, report: Report) -> None:
    """Note what is in force after a rollback; daemons are asked to finish what it left."""
    sources = Sources(session.database)
    if report.whole:
        await sources.applied(back.sighting.name)
    if report.outcome != "done" or not report.whole:
        await sources.ask()


async def release(session: Session, place: Place, ends: Ends, *, anyway: bool) -> tuple[Hold, ...]:
    """End the holds of *place*; raises GuardRefused when that would undo a rollback.

    *anyway*: even then.
    """
    holds = _holds(session)
    pins = [hold for hold in await holds.open() if hold.pinned and hold.place == place]
    if ends.rollback and not anyway:
        for pin in pins:
            await _refuse_again(session, pin)
    return await holds.release(place, ends, by=actor())


async def _refuse_again(session: Session, pin: Hold) -> None:
    """Refuse to end a rollback while the newest specs ask for what was rolled back."""
    origin, specs = pin.rolled_back_from, specs_of(session.settings)
    newest, sighting = await _newest(session, specs)
    if origin is None or newest is None:
        return
    same = newest == origin
    if not same:
        with suppress(GitUnreachable, RevisionGone):
            sighting = sighting or await specs.at(newest)
            same = _content(sighting) == _content(await specs.at(origin))
    if same:
        still = "still" if newest == origin else f"{newest}, and its specs are those of"
        message = f"the newest valid commit is {still} {origin}, which was rolled back"
        hint = "commit a fix first (git revert), or apply it again with --anyway"
        raise GuardRefused(message, hint=hint)


async def _newest(session: Session, specs: Specs) -> tuple[str | None, Sighting | None]:
    """Name the newest revision that would be applied; of what git can't show, only the name."""
    try:
        sighting = await specs.look()
    except (GitUnreachable, RevisionGone):
        sighting = None
    if sighting is not None and fault(sighting) is None:
        return sighting.name, sighting
    return (await Sources(session.database).load()).good, None


def _content(sighting: Sighting) -> object:
    """Give what a revision asks for, however and wherever that is written."""
    return {
        one.address: (one.spec, one.workflow.document if one.workflow else None)
        for one in sighting.loaded.resources
    }


def _pick(history: Sequence[Applied], present: str | None, word: str | None) -> str:
    names = [one.revision for one in history]
    if word is None:
        # The present one may be in force in part only, and then it is not in the list.
        before = next((name for name in names if name != present), None)
        if before is None:
            message = "no revision was applied before the present one"
            raise UsageError(message, hint="`reconciler rollback --list` shows what there is")
        return before
    if not word:
        message = "the revision to go back to is empty"
        raise UsageError(message, hint="`reconciler rollback --list` shows what there is")
    found = [name for name in names if name.startswith(word) or word.startswith(name)]
    if not found:
        message = f"the revision {word} was never applied"
        raise UsageError(message, hint="`reconciler rollback --list` shows what was")
    if len(set(found)) > 1:
        message = f"{word} may be {', '.join(sorted(set(found))[:3])}"
        raise UsageError(message, hint="give more digits")
    return found[0]


async def _origin(session: Session, present: str | None) -> str | None:
    """Say what a rollback leaves: of a rollback, what that one left."""
    pins = [hold for hold in await _holds(session).open() if hold.pinned is not None]
    return pins[-1].rolled_back_from if pins else present


def _holds(session: Session) -> Holds:
    return Holds(session.database, new_id=new_id)
