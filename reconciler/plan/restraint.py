"""What keeps a change from being made now: holds of people, and switches of the daemon. Pure.

Not here: where holds are kept (`reconciler.store.holds`), what follows for other changes
(`reconciler.plan.held`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from reconciler.plan.change import Change
from reconciler.plan.held import intends, undoes
from reconciler.resource.address import Address

EVERYTHING = "/"


class What(enum.StrEnum):
    """What can be held."""

    HEAL = "heal"  # undoing what was done outside git
    APPLY = "apply"  # applying what is new in the specs
    FIRE = "fire"  # running what is triggered


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a hold is about: everything, an organization, a kind in it, or one resource."""

    organization: str | None = None
    kind: str | None = None
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read "/", "acme", "acme/Automation" or "acme/Automation/intake"; raises ValueError."""
        if text == EVERYTHING:
            return cls()
        parts = text.split("/")
        if not 1 <= len(parts) <= 3 or not all(parts):
            message = f"{text!r} is neither / nor organization[/Kind[/name]]"
            raise ValueError(message)
        organization, kind, name = (*parts, None, None)[:3]
        return cls(organization=organization, kind=kind, name=name)

    def __str__(self) -> str:
        parts = [part for part in (self.organization, self.kind, self.name) if part is not None]
        return "/".join(parts) or EVERYTHING

    def covers(self, address: Address) -> bool:
        """Whether *address* is meant."""
        return (
            self.organization in {None, address.organization}
            and self.kind in {None, address.kind}
            and self.name in {None, address.name}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Somebody's word that something shall wait; *until* None: until it is taken back."""

    id: str
    place: Place
    what: frozenset[What]
    reason: str
    by: str
    since: datetime
    until: datetime | None = None
    pinned: str | None = None  # a rollback: the revision that applies instead of newer ones
    rolled_back_from: str | None = None

    def __str__(self) -> str:
        end = f"until {self.until:%Y-%m-%d %H:%M} UTC " if self.until else ""
        return f"held {end}by {self.by}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restraint:
    """All that keeps changes from being made: open holds, and a switch that is off."""

    holds: tuple[Hold, ...] = ()
    apply: bool = True  # whether anything new in the specs is applied at all

    def reason(self, change: Change) -> str | None:
        """Say why *change* must wait; None: it need not."""
        wanted = [What.APPLY] if intends(change) else []
        wanted += [What.HEAL] if undoes(change) else []
        for what in wanted:
            note = self.on_any(change, what)
            if note is not None:
                return note
        return None

    def on_any(self, change: Change, what: What) -> str | None:
        """Say why *what* waits for the resource of *change*, by its name now or the one to come."""
        names = (
            [change.address] if change.moved_from is None else [change.moved_from, change.address]
        )
        return next((note for name in names if (note := self.on(name, what)) is not None), None)

    def on(self, address: Address, what: What) -> str | None:
        """Say why *what* waits for *address*; None: it does not."""
        if what is What.APPLY and not self.apply:
            return "the daemon applies nothing new (apply_commits is off)"
        hold = next(iter(covering(self.holds, address, what)), None)
        return None if hold is None else str(hold)


def covering(holds: Iterable[Hold], address: Address, what: What) -> list[Hold]:
    """Find the holds of *what* that *address* is under."""
    return [hold for hold in holds if what in hold.what and hold.place.covers(address)]
