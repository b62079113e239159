"""What a plan is made of: one change per resource, in waves, and what was noticed besides."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.plan.diff import FieldChange
from reconciler.plan.state import Desired, Observed, Recorded
from reconciler.resource.address import Address


class Action(enum.StrEnum):
    """What to do with a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"  # create a successor in n8n; the old object is discarded at the end
    DISCARD = "discard"  # delete an n8n object that was replaced; its id is in `observed`
    REMOVE = "remove"  # archive in n8n, make the row inactive, keep the history
    FORGET = "forget"  # nothing is left to remove: only the record is closed
    ADOPT = "adopt"  # it is there and ours: write down its id, and update it where it differs
    MOVE = "move"  # the record gets a new address, ids stay; *fields* are updated with it
    RECORD = "record"  # silent: nothing has to change but our record
    NOOP = "noop"


class Reason(enum.StrEnum):
    """Why, for people."""

    NEW = "new in the specs"
    VANISHED = "deleted in n8n"
    ROW_VANISHED = "the row was deleted in PostgreSQL"
    ARCHIVED = "archived in n8n"
    UNPUBLISHED = "unpublished in n8n"
    UNLIKE_DRAFT = "the published version differs from the draft"
    INTERRUPTED = "an earlier creation was interrupted"
    UNFINISHED = "an earlier apply was interrupted"
    CHANGED = "changed in git"
    DRIFTED = "changed outside git"
    BOTH = "changed in git and outside git"
    IMMUTABLE = "can't be changed in place"
    RELINKED = "something it refers to gets a new id"
    REBOUND = "n8n has another object in its place"
    RESTORED = "declared again after its removal"
    MOVED = "renamed in the specs"
    REPLACED = "replaced"
    REMOVED = "removed from the specs"
    GONE = "removed from the specs, and already gone"
    OUTDATED = "only the record is out of date"
    IN_SYNC = "in sync"
    UNDECLARED = "no longer declared"


class Guard(enum.StrEnum):
    """Which guard blocked a removal."""

    PROTECTED = "protected"
    BUDGET = "budget"
    EMPTY = "empty"  # no specs where there were some
    UNREADABLE = "unreadable"  # the spec root could not be read
    HELD = "held"  # something whose removal is blocked still refers to it


class Only(enum.StrEnum):
    """Which differences a plan is about."""

    ALL = "all"
    DRIFT = "drift"  # put back what was changed outside git, apply no new commit
    INTENT = "intent"  # apply the commit, leave alone what only drifted


_REMOVING = frozenset({Action.REMOVE, Action.FORGET, Action.DISCARD})
_SILENT = frozenset({Action.NOOP, Action.RECORD})
_COUNTED = {
    Action.CREATE: "create",
    Action.UPDATE: "update",
    Action.REPLACE: "replace",
    Action.REMOVE: "remove",
    Action.FORGET: "remove",
    Action.ADOPT: "adopt",
    Action.MOVE: "move",
}


Key: TypeAlias = "tuple[Address, Action, str | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One resource, what happens to it, and why; *observed* holds only what is ours."""

    address: Address
    action: Action
    reason: Reason
    because: Address | None = None  # whose new id makes us relink
    fields: tuple[FieldChange, ...] = ()
    desired: Desired | None = None
    recorded: Recorded | None = None  # at its old address when it moves
    observed: Observed | None = None
    deposes: tuple[str, ...] = ()  # n8n ids that its intent adds to `Recorded.deposed`
    needs: tuple[Address, ...] = ()  # not to be attempted when one of these was not applied
    blocked: str | None = None  # why it is shown and not done
    guard: Guard | None = None  # the guard that blocked it

    @property
    def key(self) -> Key:
        """What tells this change from the others of its plan."""
        discarded = self.observed.object_id if self.observed else None
        return self.address, self.action, discarded if self.action is Action.DISCARD else None

    @property
    def removes(self) -> bool:
        """Whether this belongs to the second half of a plan, where things end."""
        return self.action in _REMOVING

    @property
    def is_silent(self) -> bool:
        """Whether people need not see it: nothing outside our record changes."""
        return self.action in _SILENT

    @property
    def renews(self) -> bool:
        """Whether the resource ends up with another id in n8n."""
        return self.action in {Action.CREATE, Action.REPLACE, Action.ADOPT}

    @property
    def moved_from(self) -> Address | None:
        """The address its record has now, where that is another one."""
        moved = self.recorded is not None and self.recorded.address != self.address
        return self.recorded.address if moved and self.recorded else None

    @property
    def why(self) -> str:
        """The reason as a sentence for people."""
        if self.reason is Reason.RELINKED and self.because:
            return f"{self.because} gets a new id"
        if self.moved_from:
            moved = f"renamed from {self.moved_from.name}"
            return moved if self.reason is Reason.MOVED else f"{moved}; {self.reason.value}"
        return self.reason.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What was changed outside git, whether or not the plan puts it back."""

    address: Address
    reason: Reason
    fields: tuple[FieldChange, ...] = ()  # *before*: as applied, *after*: as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a plan looked at."""

    organizations: frozenset[str] = frozenset()
    targets: frozenset[Address] | None = None  # None: everything
    prune: bool = False
    only: Only = Only.ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Changes in waves; a wave starts when the one before it has ended. Blocked ones never run."""

    waves: tuple[tuple[Change, ...], ...] = ()
    drift: tuple[Drift, ...] = ()
    undeclared: tuple[Address, ...] = ()  # recorded, not declared, left alone
    unchanged: tuple[Address, ...] = ()
    scope: Scope = field(default_factory=Scope)
    revision: str | None = None  # of the specs, for people and for the record

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes in order, blocked and silent ones too."""
        return tuple(change for wave in self.waves for change in wave)

    @property
    def shown(self) -> tuple[Change, ...]:
        """The changes that people see."""
        return tuple(change for change in self.changes if not change.is_silent)

    @property
    def is_empty(self) -> bool:
        """Whether nothing has to be done, as far as people are concerned."""
        return not self.shown

    @property
    def refused(self) -> bool:
        """Whether a guard blocked something (exit code 5)."""
        return any(change.guard is not None for change in self.changes)

    def counts(self) -> Mapping[str, int]:
        """Count what people see: create, update, replace, adopt, move, remove, discard, blocked."""
        counted: Counter[str] = Counter()
        busy = {c.address for c in self.shown if c.action is not Action.DISCARD}
        for change in self.shown:
            if change.action is not Action.DISCARD:
                counted["blocked" if change.blocked is not None else _COUNTED[change.action]] += 1
            elif change.address not in busy:  # else it is the tail of its replacement
                counted["discard"] += 1
        return counted
