"""The seed's ten trigger types, the event that each one stands for, and which triggers hear it.

Not here: matching an event against filters (`reconciler.trigger.match`), nor starting an execution.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


class TriggerType(enum.StrEnum):
    """What can start an automation; the words are those of the database."""

    WEBHOOK = "WEBHOOK"
    SCHEDULE = "SCHEDULE"
    INTAKE_CREATED = "INTAKE_CREATED"
    INTAKE_ASSIGNED = "INTAKE_ASSIGNED"
    DOCUMENT_UPLOADED = "DOCUMENT_UPLOADED"
    DOCUMENT_PROCESSED = "DOCUMENT_PROCESSED"
    PIPELINE_STAGE_CHANGED = "PIPELINE_STAGE_CHANGED"
    FORM_SUBMITTED = "FORM_SUBMITTED"
    EMAIL_RECEIVED = "EMAIL_RECEIVED"
    API_CALL = "API_CALL"


DEFAULT_EVENTS: Final = MappingProxyType(
    {
        TriggerType.WEBHOOK: "webhook.received",
        TriggerType.SCHEDULE: "schedule.due",
        TriggerType.INTAKE_CREATED: "intake.created",
        TriggerType.INTAKE_ASSIGNED: "intake.assigned",
        TriggerType.DOCUMENT_UPLOADED: "document.uploaded",
        TriggerType.DOCUMENT_PROCESSED: "document.processed",
        TriggerType.PIPELINE_STAGE_CHANGED: "pipeline.stage_changed",
        TriggerType.FORM_SUBMITTED: "form.submitted",
        TriggerType.EMAIL_RECEIVED: "email.received",
        TriggerType.API_CALL: "api.call",
    }
)

EVENT_TYPES: Final = frozenset(TriggerType) - {
    TriggerType.WEBHOOK,
    TriggerType.SCHEDULE,
    TriggerType.API_CALL,
}
EVENT_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
MAX_EVENT_NAME: Final = 100  # characters; it is a label in metrics


def is_event_name(text: str) -> bool:
    """Whether *text* reads like ``document.uploaded``."""
    return len(text) <= MAX_EVENT_NAME and EVENT_NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Heard:
    """Which triggers hear an event: those with this event name and, unless None, of this type."""

    name: str
    type: TriggerType | None


_TYPE_OF: Final = MappingProxyType({name: type_ for type_, name in DEFAULT_EVENTS.items()})


def heard(text: str) -> Heard:
    """Read the `type` of an event: a seed type word, or an event name; raises ValueError.

    A word and its default name are the same event. It is heard by the triggers of that type that
    have no name of their own; any other name by the triggers of all event types that bear it.
    """
    type_ = _TYPE_OF.get(text)
    if type_ is None and text in TriggerType.__members__:
        type_ = TriggerType[text]
    if type_ is None:
        if not is_event_name(text):
            message = (
                "the type is neither a trigger type such as DOCUMENT_UPLOADED nor an event name "
                "such as document.uploaded"
            )
            raise ValueError(message)
        return Heard(text, None)
    if type_ not in EVENT_TYPES:
        message = f"{type_} is not started by events"
        raise ValueError(message)
    return Heard(DEFAULT_EVENTS[type_], type_)
