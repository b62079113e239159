"""Which trigger a call of the API or a person's command stands for. Pure.

A call is let in by an active API_CALL trigger whose filters fit; an automation that has none can
still be run, as by hand. Not here: starting the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.resource.payload import Json
from reconciler.trigger.events import TriggerType
from reconciler.trigger.execution import Cause
from reconciler.trigger.match import filter_of


class Known(Protocol):
    """A trigger as the database has it; *filters* as JSON text."""

    @property
    def id(self) -> str:
        """Its row."""
        raise NotImplementedError

    @property
    def name(self) -> str | None:
        """Its name in its automation."""
        raise NotImplementedError

    @property
    def type(self) -> str:
        """A word of the seed."""
        raise NotImplementedError

    @property
    def active(self) -> bool:
        """Whether it starts anything."""
        raise NotImplementedError

    @property
    def filters(self) -> str | None:
        """What its input must be like."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Way:
    """How a run is recorded."""

    cause: Cause
    trigger_id: str | None


class UnknownTrigger(ValueError):
    """The automation has no active trigger of that name."""


def way_of_call(triggers: Sequence[Known], named: str | None, data: Json) -> Way | None:
    """Choose for a call of the API; None: filters keep the input out.

    Raises UnknownTrigger and FilterFailed.
    """
    if named is not None:
        chosen = _named(triggers, named)
        if chosen.type != TriggerType.API_CALL:
            return Way(Cause.MANUAL, chosen.id)
        return Way(Cause.API, chosen.id) if filter_of(chosen.filters)(data) else None
    calls = [one for one in triggers if one.active and one.type == TriggerType.API_CALL]
    if not calls:
        return Way(Cause.MANUAL, None)
    for one in calls:
        if filter_of(one.filters)(data):
            return Way(Cause.API, one.id)
    return None


def way_of_hand(triggers: Sequence[Known], named: str | None) -> Way:
    """Choose for a person, whom no filter keeps out; raises UnknownTrigger."""
    return Way(Cause.MANUAL, None if named is None else _named(triggers, named).id)


def _named(triggers: Sequence[Known], named: str) -> Known:
    for one in triggers:
        if one.name == named and one.active:
            return one
    names = ", ".join(sorted(one.name for one in triggers if one.name and one.active))
    message = f'it has no active trigger "{named}"{f": {names}" if names else ""}'
    raise UnknownTrigger(message)
