"""Carry out a plan: waves in order, the changes of a wave side by side.

A change is written down before the call to n8n (see `reconciler.engine.step`),
so that a crash anywhere leaves a trace that the next plan picks up. One change
that fails does not stop the others; what depends on it is not attempted. A
lost database, a lost lock or an unreachable n8n stops the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from reconciler.clock import Clock, SystemClock
from reconciler.engine.identities import Identities
from reconciler.engine.outcome import Outcome, Report, State, is_whole
from reconciler.engine.ports import Ledger
from reconciler.engine.step import Secrets, Stepper
from reconciler.errors import ReconcilerError, UnreachableError
from reconciler.kinds.kind import Kinds
from reconciler.plan.change import Action, Change, Key, Plan
from reconciler.plan.state import World
from reconciler.resource.address import Address
from reconciler.resource.api import Api

Listener = Callable[[Outcome], None]
_SILENT = frozenset({Action.NOOP, Action.RECORD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Applier:
    """Everything apply needs, as ports."""

    kinds: Kinds
    api: Api | None
    ledger: Ledger
    secrets: Secrets
    new_id: Callable[[], str]
    still_ours: Callable[[], Awaitable[None]]  # raises when the lock was lost
    revision: str | None = None
    label: str = "reconciler"
    concurrency: int = 8
    clock: Clock = field(default_factory=SystemClock)

    async def apply(
        self,
        plan: Plan,
        world: World,
        listen: Listener = lambda _: None,
        due: Plan | None = None,
    ) -> Report:
        """Make PostgreSQL and n8n look like *plan* wants them to.

        *due*: all that its revision asks for by now, where the plan was made before.
        """
        identities = Identities(world, self.new_id)
        stepper = Stepper(
            kinds=self.kinds,
            api=self.api,
            ledger=self.ledger,
            secrets=self.secrets,
            identities=identities,
            revision=self.revision,
            label=self.label,
            clock=self.clock,
            slots=asyncio.Semaphore(self.concurrency),
            confirming=asyncio.Semaphore(self.concurrency),
            records=dict(world.recorded),
        )
        run = _Run(stepper=stepper, still_ours=self.still_ours, listen=listen, world=world)
        interrupted = False
        try:
            await run.prepare(plan)
            for wave in plan.waves:
                await run.wave(tuple(c for c in wave if c.action not in _SILENT))
        except asyncio.CancelledError:
            interrupted = True  # what happened is still to be said and recorded
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        return run.report(plan, due or plan, interrupted=interrupted)


@dataclass(slots=True)
class _Run:
    """One pass over a plan: who failed, and what that means for the rest."""

    stepper: Stepper
    still_ours: Callable[[], Awaitable[None]]
    listen: Listener
    world: World
    outcomes: dict[Key, Outcome] = field(default_factory=dict)
    failed: set[Address] = field(default_factory=set)
    stopped: ReconcilerError | None = None

    async def prepare(self, plan: Plan) -> None:
        """Rename what moves, and record what an earlier run did but could not write down."""
        changes = [c for c in plan.changes if c.blocked is None and _is_noted(c)]
        try:
            if changes and await self._proceed():
                await self.stepper.note(changes)
        except ReconcilerError as error:
            self.stopped = error

    async def wave(self, changes: tuple[Change, ...]) -> None:
        """Carry out the changes of one wave side by side."""
        if changes:
            await self._proceed()
        async with asyncio.TaskGroup() as group:
            for change in changes:
                group.create_task(self._one(change))

    async def _proceed(self) -> bool:
        """Tell whether to go on: nothing has stopped the run, and the lock is still ours."""
        if self.stopped is None:
            try:
                await self.still_ours()
            except ReconcilerError as error:
                self.stopped = error
        return self.stopped is None

    async def _one(self, change: Change) -> None:
        if change.blocked is not None:
            self._end(change, State.BLOCKED, note=change.blocked)
            return
        reason = self._hindrance(change)
        if reason is not None:
            self._end(change, State.NOT_ATTEMPTED, note=reason)
            return
        try:
            attempted = await self.stepper.run(change, self._proceed)
        except ReconcilerError as error:
            if isinstance(error, UnreachableError):
                self.stopped = self.stopped or error
            self._end(change, State.FAILED, error=error)
        else:
            if attempted:
                self._end(change, State.APPLIED)
            else:
                self._end(change, State.NOT_ATTEMPTED, note=self._hindrance(change))

    def _hindrance(self, change: Change) -> str | None:
        """Say why *change* must not be attempted any more, if so."""
        if self.stopped is not None:
            return f"stopped: {self.stopped}"
        for address in change.needs:
            if address in self.failed:
                return f"needs {address}, which was not applied"
        return None

    def _end(
        self,
        change: Change,
        state: State,
        *,
        error: ReconcilerError | None = None,
        note: str | None = None,
    ) -> None:
        outcome = Outcome(
            address=change.address, action=change.action.value, state=state, error=error, note=note
        )
        self.outcomes[change.key] = outcome
        if state is not State.APPLIED:
            self.failed.add(change.address)
        self.listen(outcome)

    def report(self, plan: Plan, due: Plan, *, interrupted: bool) -> Report:
        """Put the outcomes into the order of the plan; what was not reached is said, too."""
        listed: list[Outcome] = []
        for change in plan.changes:
            if change.action in _SILENT:
                continue
            left = Outcome(
                address=change.address,
                action=change.action.value,
                state=State.NOT_ATTEMPTED,
                note="interrupted" if interrupted else None,
            )
            listed.append(self.outcomes.get(change.key, left))
        report = Report(outcomes=tuple(listed), stopped=self.stopped, interrupted=interrupted)
        ended = {key: outcome.state for key, outcome in self.outcomes.items()}
        to_its_end = not interrupted and self.stopped is None
        whole = to_its_end and is_whole(plan, ended) and (due is plan or is_whole(due, ended))
        return replace(report, refused=plan.refused, whole=whole)


def _is_noted(change: Change) -> bool:
    return change.action is Action.RECORD or change.moved_from is not None
