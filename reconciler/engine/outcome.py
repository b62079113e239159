"""What became of each change: applied, failed, blocked or not attempted; never less than happened."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.errors import ApplyIncomplete, ExitCode, ReconcilerError
from reconciler.plan.change import Change, Key, Plan
from reconciler.plan.held import follows_drift, only_drift, renewals
from reconciler.resource.address import Address


class State(enum.StrEnum):
    """How a change ended."""

    APPLIED = "applied"
    FAILED = "failed"
    BLOCKED = "blocked"
    NOT_ATTEMPTED = "not attempted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One change after apply; *error* is set when it failed, *note* says why it was left."""

    address: Address
    action: str
    state: State
    error: ReconcilerError | None = None
    note: str | None = None

    @property
    def message(self) -> str | None:
        """Say why it was not applied, in one line."""
        return str(self.error) if self.error else self.note


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All outcomes of one apply, in the order of the plan."""

    outcomes: tuple[Outcome, ...]
    stopped: ReconcilerError | None = None  # what ended the run early
    interrupted: bool = False
    refused: bool = False  # a guard blocked something
    whole: bool = False  # its revision counts as applied

    def count(self, state: State) -> int:
        """Count the changes that ended in *state*."""
        return Counter(outcome.state for outcome in self.outcomes)[state]

    @property
    def outcome(self) -> str:
        """Say in one word how it ended, as operations remember it."""
        if self.interrupted:
            return "interrupted"
        if self.count(State.FAILED) or self.stopped:
            return "partly" if self.count(State.APPLIED) else "failed"
        left = self.count(State.BLOCKED) or self.count(State.NOT_ATTEMPTED)
        return "partly" if left or self.refused else "done"

    @property
    def exit_code(self) -> ExitCode:
        """Tell the shell what happened, worst first."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        errors = [o.error for o in self.outcomes if o.error]
        if self.stopped:
            errors.append(self.stopped)
        applied = self.count(State.APPLIED)
        if errors and not applied and errors[0].exit_code is not ExitCode.UNEXPECTED:
            return errors[0].exit_code
        if errors or (self.count(State.NOT_ATTEMPTED) and applied):
            return ApplyIncomplete.exit_code
        if self.refused or self.count(State.BLOCKED):
            return ExitCode.REFUSED
        return ExitCode.OK


def is_whole(plan: Plan, ended: Mapping[Key, State] | None = None) -> bool:
    """Whether a revision counts as applied after its *plan* ended so: all that it declares was made.

    What a guard keeps from being removed, and what only was changed elsewhere, don't stand in its
    way: else one such thing would keep every later revision from being one to go back to.
    """
    ended, renewed = ended or {}, renewals(plan)
    return all(_counts_as_made(c, ended.get(c.key), renewed) for c in plan.changes)


def _counts_as_made(change: Change, state: State | None, renewed: Mapping[Address, Change]) -> bool:
    if state is State.APPLIED or change.guard is not None:
        return True
    if change.blocked is None and change.is_silent:
        return True
    return only_drift(change) or follows_drift(change, renewed)
