"""The seed's ten trigger types and the event that each one stands for.

Not here: matching an event against filters, nor starting an execution.
"""

from __future__ import annotations

import enum
import re
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
