"""One turn of the reconcile role: read, plan, hold back what must wait, apply, heal, remember.

Everything it does can be interrupted anywhere; the next turn finds what was left. Not here: when
turns are taken (`reconciler.runtime.reconcile`), nor what holds back what (`reconciler.plan`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.app import TRAITS, Planned, Session, actor, new_id, taken_by_others
from reconciler.app.renames import Way, known_anew, taken_back
from reconciler.app.secrets import STANDINS, environment
from reconciler.diagnostics import SpecError
from reconciler.engine.backoff import Failure, failed, waits
from reconciler.engine.compile import Compiled
from reconciler.engine.conditions import Findings, by_address, failures, undeclared
from reconciler.engine.observe import Reading, bind
from reconciler.engine.outcome import Report, State, is_whole
from reconciler.engine.safe import Safe, environment_names
from reconciler.errors import GitUnreachable, GuardRefused, RevisionGone, UnreachableError
from reconciler.kinds.registry import KINDS
from reconciler.plan.change import Action, Change, Only, Plan
from reconciler.plan.guard import Policy
from reconciler.plan.held import intends, withhold
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.restraint import Hold, Restraint, What
from reconciler.resource.address import Address
from reconciler.resource.payload import Object
from reconciler.runtime.reconcile import Order, Turned, Turns
from reconciler.source.sight import Sighting, Specs
from reconciler.store.conditions import Conditions
from reconciler.store.holds import Holds
from reconciler.store.lock import HeldLock
from reconciler.store.operations import Operations
from reconciler.store.renames import names_at, names_before_rollback
from reconciler.store.sources import Sources, SourceState
from reconciler.vault.standins import make_standins

KIND = "reconcile"  # of operations that turns carry out
LEASE = 30.0  # seconds; a daemon that hangs so long lets another one turn
_FRESH = 0.5  # of the interval between two turns: what another daemon did so recently counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a turn begins with."""

    state: SourceState
    restraint: Restraint
    pin: Hold | None
    sighting: Sighting | None  # what it works toward: the newest good one, or that of a rollback
    failures: Mapping[Address, Failure]
    undeclared: frozenset[Address]  # at the last turn that had specs
    now: datetime


class DaemonTurns(Turns):
    """Takes turns with a session that stays open."""

    def __init__(self, session: Session, specs: Specs) -> None:
        self._session = session
        self._specs = specs
        self._settings = session.settings
        self._sources = Sources(session.database)
        self._conditions = Conditions(session.database)
        self._problem: str | None = None  # of the newest revision, at the last look

    async def good(self) -> str | None:
        """Tell the newest revision that any daemon found to be without errors."""
        return (await self._sources.load()).good

    async def asked_at(self) -> datetime | None:
        """Tell when somebody last asked to look for news."""
        return (await self._sources.load()).asked_at

    async def saw(self, place: str, sighting: Sighting | None, problem: str | None) -> None:
        """Note what is the newest revision, and in the history why it does not apply if so."""
        before = await self._sources.load()
        self._problem = problem
        await self._sources.saw(place, sighting.name if sighting else None, problem)
        if sighting is not None and problem is not None and problem != before.problem:
            await self._remember(sighting.revision, "failed", {"problem": problem})

    async def failed(self, place: str, problem: str) -> None:
        """Note why a turn failed, beside what is wrong with the newest revision."""
        known = f"; besides: {self._problem}" if self._problem else ""
        await self._sources.failed(place, f"{problem}{known}")

    async def turn(self, order: Order) -> Turned:
        """Take one turn under the writers' lock; raises LockHeld, SpecError, UnreachableError."""
        if not order.urgent:
            ago = (await self._sources.load()).turned_ago
            if ago is not None and ago < self._settings.drift_interval * _FRESH:
                return Turned(outcome="skipped")
        async with self._session.lock(KIND).acquire(lease=LEASE) as held:
            session = self._renewed(order.sighting)
            turn = _Turn(session=session, held=held, known=await self._begin(order, session))
            ended = await turn.take(await self._distrust(turn.known))
            await self._end(turn)
        if turn.stopped is not None:
            raise turn.stopped
        return ended

    def _renewed(self, sighting: Sighting | None) -> Session:
        """Give a session that reads secrets anew: they may have rotated, or be new in the specs."""
        base, settings = self._session, self._settings
        if settings.stand_ins and sighting is not None:
            names = environment_names(sighting.loaded.resources)
            make_standins(settings.state / STANDINS, [n for n in names if not os.environ.get(n)])
        safe = Safe(keyring=base.safe.keyring, data_keys=base.safe.data_keys)
        return replace(base, safe=safe, environ=environment(settings))

    async def _begin(self, order: Order, session: Session) -> Known:
        holds = await Holds(session.database, new_id=new_id).open()
        pin = next((hold for hold in reversed(holds) if hold.pinned), None)
        sighting = order.sighting
        if pin is not None and pin.pinned is not None:
            try:
                sighting = await self._specs.at(pin.pinned)
            except (RevisionGone, GitUnreachable):
                sighting = None  # what is applied stays, and is healed
        others = tuple(hold for hold in holds if hold is not pin)
        conditions = await self._conditions.load()
        return Known(
            state=await self._sources.load(),
            restraint=Restraint(
                holds=others, apply=self._settings.apply_commits or pin is not None
            ),
            pin=pin,
            sighting=sighting,
            failures=failures(conditions),
            undeclared=undeclared(conditions),
            now=session.clock.now(),
        )

    async def _distrust(self, known: Known) -> str | None:
        """Name the revision that was applied and is no longer part of the history, if so."""
        before, sighting = known.state.rewritten_from, known.sighting
        if sighting is None or known.pin is not None or sighting.commit is None:
            # Earlier versions took edits for a commit: nothing was rewritten there.
            return None if before is not None and "+" in before else before
        anchor = _commit_of(before or known.state.applied)
        if anchor is None or sighting.commit.startswith(anchor):
            return None
        try:
            return None if await self._specs.descends(sighting, anchor) else anchor
        except (RevisionGone, GitUnreachable):  # nothing is removed before git can be asked
            return anchor

    async def _end(self, turn: _Turn) -> None:
        known, sighting = turn.known, turn.known.sighting
        revision = sighting.revision if sighting else None
        before = await self._conditions.load()
        documents = turn.findings.documents(before, revision, known.now)
        await self._conditions.save(documents)
        applied = sighting.name if sighting is not None and turn.complete else None
        if applied is not None and applied != known.state.applied and not turn.recorded:
            await self._remember(revision, "done", _leading(known))
        await self._sources.turned(
            self._specs.place,
            good=sighting.name if sighting is not None and known.pin is None else None,
            applied=applied,
            rewritten_from=turn.rewritten_from,
        )
        if turn.stopped is None:
            await self._sources.mended(self._problem)

    async def _remember(self, revision: str | None, outcome: str, summary: Object) -> None:
        """Keep a revision in the history though nothing had to be changed for it."""
        operations = Operations(self._session.database)
        host = socket.gethostname()
        id_ = await operations.begin(
            id=new_id(), kind=KIND, actor=actor(), host=host, git_revision=revision
        )
        await operations.finish(id_, outcome, {**summary})


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One turn: what it found and did so far."""

    session: Session
    held: HeldLock
    known: Known
    findings: Findings = field(default_factory=Findings)
    rewritten_from: str | None = None
    stopped: UnreachableError | None = None
    interrupted: bool = False
    recorded: bool = False  # whether an operation was written
    complete: bool = False  # whether the revision counts as applied
    counts: dict[State, int] = field(default_factory=dict)
    drifted: int = 0

    async def take(self, rewritten_from: str | None) -> Turned:
        """Apply what the specs say, and heal what the first pass had to leave."""
        self.rewritten_from = rewritten_from
        reading = await self.session.observe()
        await self.session.safe.open_known(reading.recorded)
        targets: frozenset[Address] | None = None
        if self.known.sighting is not None:
            try:
                planned = await self._planned(self.known.sighting, reading)
            except (SpecError, GuardRefused):
                if self.known.pin is None:  # else it was valid once: what it left is healed
                    raise
            else:
                targets = await self._apply(planned)
        heals = self.session.settings.heal_drift and (targets is None or targets)
        if heals and not self.interrupted and self.stopped is None:
            if self.recorded:
                reading = await self.session.observe()
            await self._heal(reading, targets)
        return self._turned()

    async def _planned(self, sighting: Sighting, reading: Reading) -> Planned:
        session, settings = self.session, self.session.settings
        await session.safe.read(session.sources(), sighting.loaded.resources)
        options = PlanOptions(
            prune=settings.prune,
            only=Only.ALL if settings.heal_drift else Only.INTENT,
            revision=sighting.revision,
        )
        policy = Policy(distrusted=self._suspicion(sighting))
        taken = taken_by_others(reading)
        if self.known.pin is not None:
            under, way = taken_back, Way.BACK
            names = await names_at(session.database, sighting.revision)
        else:
            under, way = known_anew, Way.FORWARD
            names = await names_before_rollback(session.database)

        def weigh() -> Planned:
            compiled = session.build(sighting.loaded, session.safe.facts(), taken)
            if not compiled.ok:
                raise SpecError(compiled.diagnostics)
            named = under(compiled, reading, names)
            planned = session.weigh(reading, named, options, policy, frozenset())
            return replace(planned, way=way)

        return await asyncio.to_thread(weigh)  # the event loop has leases to extend meanwhile

    def _suspicion(self, sighting: Sighting) -> str | None:
        if self.rewritten_from is None:
            return None
        return f"{sighting.name} does not come after {self.rewritten_from}, which was applied"

    async def _apply(self, planned: Planned) -> frozenset[Address]:
        """Carry out what need not wait; returns what must be healed apart from its new spec."""
        plan = withhold(planned.plan, self._reason)
        self.drifted = len(plan.drift)
        self.findings.look(plan, planned.world)
        if not plan.undeclared and not any(change.removes for change in plan.changes):
            self.rewritten_from = None  # nothing is left that could be removed by mistake
        report = await self._carry_out(replace(planned, plan=plan))
        self.complete = is_whole(plan) if report is None else report.whole
        blocked = [c for c in plan.shown if c.blocked is not None]
        on_apply = [c for c in blocked if intends(c) and self._held(c)]
        drifted = {drift.address for drift in plan.drift}
        known = planned.world.recorded.keys()
        present = {c.address: c.moved_from or c.address for c in on_apply}
        return frozenset(now for new, now in present.items() if new in drifted and now in known)

    async def _heal(self, reading: Reading, targets: frozenset[Address] | None) -> None:
        """Put back what was changed elsewhere, to what was applied last."""
        session = self.session
        homes = frozenset(address.organization for address in reading.recorded)
        world = bind(reading, {}, KINDS, readers=session.safe.reader, organizations=homes)
        left = self.known.undeclared if targets is None else frozenset[Address]()
        options = PlanOptions(only=Only.DRIFT, targets=targets, undeclared=left)
        plan = await asyncio.to_thread(make_plan, world, TRAITS, options)
        plan = withhold(plan, self._reason)
        if targets is None:
            self.drifted = len(plan.drift)
            self.findings.look(plan, world)
        nothing = Compiled(desired={}, diagnostics=())
        await self._carry_out(Planned(plan=plan, world=world, compiled=nothing, reading=reading))

    async def _carry_out(self, planned: Planned) -> Report | None:
        self._note_waiting(planned.plan)
        if not any(_moves(change) for change in planned.plan.changes):
            return None
        report = await self.session.carry_out(planned, self.held, lambda _: None, KIND)
        self.recorded = True
        self.interrupted = report.interrupted
        if isinstance(report.stopped, UnreachableError):
            self.stopped = report.stopped
        self._note(planned.plan, report)
        return report

    def _note_waiting(self, plan: Plan) -> None:
        for change in plan.shown:
            failure = self.known.failures.get(change.address)
            if failure is not None and waits(change, failure, self.known.now):
                self.findings.failed(change.address, failure)

    def _note(self, plan: Plan, report: Report) -> None:
        changes = by_address(plan.shown)
        for outcome in report.outcomes:
            self.counts[outcome.state] = self.counts.get(outcome.state, 0) + 1
            change = changes.get(outcome.address)
            message = outcome.message or ""
            if outcome.state is State.APPLIED:
                gone = outcome.action in {Action.REMOVE, Action.FORGET}
                self.findings.applied(outcome.address, removed=gone)
            elif outcome.state is State.NOT_ATTEMPTED:
                self.findings.left(outcome.address, "Waiting", message or "not attempted")
            elif outcome.state is State.FAILED and change is not None:
                before = self.known.failures.get(outcome.address)
                if isinstance(outcome.error, UnreachableError):
                    self.findings.left(outcome.address, "Unreachable", message)
                else:
                    now = self.session.clock.now()
                    self.findings.failed(outcome.address, failed(change, before, message, now))

    def _reason(self, change: Change) -> str | None:
        failure = self.known.failures.get(change.address)
        return self.known.restraint.reason(change) or waits(change, failure, self.known.now)

    def _held(self, change: Change) -> bool:
        return self.known.restraint.on_any(change, What.APPLY) is not None

    def _ends(self) -> Iterator[datetime]:
        """When the waits that have an end are over."""
        if self.findings.retry_at is not None:
            yield self.findings.retry_at
        for hold in (*self.known.restraint.holds, *((self.known.pin,) if self.known.pin else ())):
            if hold.until is not None and hold.what & {What.APPLY, What.HEAL}:
                yield hold.until

    def _turned(self) -> Turned:
        failures_ = self.counts.get(State.FAILED, 0)
        outcome = "interrupted" if self.interrupted else "partly" if failures_ else "done"
        return Turned(
            outcome=outcome,
            retry_at=min(self._ends(), default=None),
            drifted=self.drifted,
            applied=self.counts.get(State.APPLIED, 0),
            failed=failures_,
        )


def _commit_of(name: str | None) -> str | None:
    """Give the commit that a revision is, or that the edits of a folder were made on."""
    commit = (name or "").partition("+")[0]
    return None if commit in {"", "folder"} else commit


def _moves(change: Change) -> bool:
    """Whether carrying out a plan does anything about *change*."""
    return change.blocked is None and change.action is not Action.NOOP


def _leading(known: Known) -> Object:
    """Say in a summary which organizations' newest specs are what is there."""
    if known.sighting is None or known.pin is not None:
        return {}
    homes = {resource.address.organization for resource in known.sighting.loaded.resources}
    return {"forward": [*sorted(homes)]}
