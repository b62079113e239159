"""Trigger: what starts an automation."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final

from pydantic import AwareDatetime, Field

from reconciler.diagnostics import Problem
from reconciler.spec.model import (
    Duration,
    Flag,
    HeaderName,
    JsonObject,
    Name,
    Part,
    Reference,
    Spec,
    Text,
    name_problem,
)
from reconciler.spec.quantity import parse_duration
from reconciler.spec.secretref import SecretRef, secret_ref_problem
from reconciler.trigger.events import DEFAULT_EVENTS, EVENT_TYPES, TriggerType, is_event_name
from reconciler.trigger.filters import filter_problems
from reconciler.trigger.schedule import cron_problem, zone_problem

_TYPES: Final = frozenset(TriggerType)
MAX_JITTER: Final = timedelta(hours=1)  # more than that is another schedule


class Misfire(enum.StrEnum):
    """What happens to occurrences that passed while nothing was running."""

    FIRE_ONCE = "fire_once"
    SKIP = "skip"
    FIRE_ALL = "fire_all"


class Overlap(enum.StrEnum):
    """What happens when an occurrence is due while the last one still runs."""

    SKIP = "skip"
    ALLOW = "allow"
    QUEUE_ONE = "queue_one"
    CANCEL_OTHER = "cancel_other"


class Scheme(enum.StrEnum):
    """How a webhook's caller proves who it is."""

    STANDARD_WEBHOOKS = "standard-webhooks"
    GITHUB = "github"
    HMAC_SHA256 = "hmac-sha256"
    BEARER = "bearer"
    NONE = "none"


class Method(enum.StrEnum):
    """An HTTP method that a webhook may accept."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"


class LiveSecret(Part):
    """One of several secrets that are accepted at the same time, during a rotation."""

    secret_ref: SecretRef = Field(description="Where the secret is kept")
    not_after: AwareDatetime | None = Field(
        default=None,
        description="From when on it is refused; with a time zone",
        examples=["2026-12-31T00:00:00Z"],
    )


class Auth(Part):
    """How a webhook checks its callers; `none` must be written out."""

    scheme: Scheme = Field(description="How the caller proves who it is")
    secret_ref: SecretRef | None = Field(default=None, description="Where the secret is kept")
    secrets: tuple[LiveSecret, ...] = Field(
        default=(), max_length=4, description="Several live secrets, instead of secretRef"
    )
    header: HeaderName | None = Field(
        default=None,
        description="Header of the signature, for hmac-sha256",
        examples=["X-Signature"],
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that the secret fits the scheme and is a reference."""
        scheme = given.get("scheme")
        problem = secret_ref_problem(given.get("secretRef"), ("secretRef",), "secretRef")
        if problem is not None:
            yield problem
        used = [word for word in ("secretRef", "secrets") if word in given]
        if scheme == Scheme.NONE:
            for word in used:
                message = f"`{word}` means nothing with scheme none"
                yield Problem("SPE113", message, (word,), at="key")
        elif len(used) != 1:
            message = "a webhook's secret is exactly one of secretRef and secrets"
            yield Problem("SPE112", message, hint="such as secretRef: {env: INVOICE_HOOK_SECRET}")
        if "header" in given and scheme in set(Scheme) - {Scheme.HMAC_SHA256}:
            message = f"`header` belongs to scheme hmac-sha256, not {scheme}"
            yield Problem("SPE113", message, ("header",), at="key")


# Fields that only some types have, and which.
_ONLY: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(
        ("cron", "timezone", "misfire", "overlap", "jitter"), frozenset({TriggerType.SCHEDULE})
    ),
    **dict.fromkeys(("auth", "methods"), frozenset({TriggerType.WEBHOOK})),
    "filters": frozenset(TriggerType) - {TriggerType.SCHEDULE},
    "event": EVENT_TYPES,
}


class TriggerFields(Spec):
    """What a trigger is, apart from which automation it starts."""

    type: TriggerType = Field(description="What starts the automation")
    active: Flag = Field(default=True, description="false: it is kept, and starts nothing")
    event: Annotated[Text, Field(max_length=100)] | None = Field(
        default=None,
        description="Name of the event; follows from the type if left out",
        examples=["document.uploaded"],
    )
    filters: JsonObject | None = Field(
        default=None,
        description="Conditions on the event's data; all must hold",
        examples=[{"documentType": "invoice", "fileSize": {"lessThan": 10485760}}],
    )
    cron: Text | None = Field(
        default=None, description="SCHEDULE: when, in five fields", examples=["0 9 * * 1-5"]
    )
    timezone: Text = Field(
        default="UTC", description="SCHEDULE: the zone of cron", examples=["Europe/Berlin"]
    )
    misfire: Misfire = Field(
        default=Misfire.FIRE_ONCE, description="SCHEDULE: what becomes of missed occurrences"
    )
    overlap: Overlap = Field(
        default=Overlap.SKIP, description="SCHEDULE: what if the last run has not ended"
    )
    jitter: Duration | None = Field(
        default=None, description="SCHEDULE: start up to this much later", examples=["30s"]
    )
    auth: Auth | None = Field(
        default=None, description="WEBHOOK: how callers prove who they are; required"
    )
    methods: tuple[Method, ...] = Field(
        default=(Method.POST,), min_length=1, description="WEBHOOK: the HTTP methods it accepts"
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check what depends on the type."""
        kind = given.get("type")
        if kind in _TYPES:
            yield from _misplaced(str(kind), given)
            yield from _missing(str(kind), given)
        yield from _named(given, "cron", cron_problem)
        yield from _named(given, "timezone", zone_problem)
        yield from _named(given, "event", _event_problem)
        yield from _named(given, "jitter", _jitter_problem)
        if isinstance(given.get("filters"), Mapping):
            for problem in filter_problems(given["filters"]):
                yield replace(problem, path=("filters", *problem.path))

    @property
    def event_name(self) -> str:
        """The event that this trigger answers to."""
        return self.event or DEFAULT_EVENTS[self.type]


class TriggerSpec(TriggerFields):
    """What starts an automation: a webhook, a schedule, an event, a call."""

    meaning: ClassVar[str] = "What starts an automation"

    automation: Name = Field(
        description="Name of the automation it starts", examples=["invoice-intake"]
    )

    @classmethod
    def written_references(cls, given: Mapping[str, object]) -> Iterator[Reference]:
        """Yield the automation that the raw fields name."""
        name = given.get("automation")
        if isinstance(name, str) and name_problem(name) is None:
            yield Reference("Automation", name, ("automation",))

    def references(self) -> Iterator[Reference]:
        """Yield the automation."""
        yield Reference("Automation", self.automation, ("automation",))


def _misplaced(kind: str, given: Mapping[str, object]) -> Iterator[Problem]:
    for word, kinds in _ONLY.items():
        if word in given and kind not in kinds:
            message = f"`{word}` means nothing on a trigger of type {kind}"
            hint = None
            if len(kinds) == 1:
                hint = f"it belongs to type {next(iter(kinds))}"
            yield Problem("SPE113", message, (word,), hint=hint, at="key")


def _missing(kind: str, given: Mapping[str, object]) -> Iterator[Problem]:
    if kind == TriggerType.SCHEDULE and "cron" not in given:
        message = "a trigger of type SCHEDULE needs cron"
        yield Problem("AUT109", message, hint='such as cron: "0 9 * * 1-5"')
    if kind == TriggerType.WEBHOOK and given.get("auth") is None:
        message = "a webhook says who may call it: auth is missing"
        hint = (
            "auth: {scheme: standard-webhooks, secretRef: {env: HOOK_SECRET}}, "
            "or auth: {scheme: none} to let everybody in"
        )
        yield Problem("AUT105", message, hint=hint)


def _named(
    given: Mapping[str, object], word: str, check: Callable[[str], Problem | None]
) -> Iterator[Problem]:
    text = given.get(word)
    problem = check(text) if isinstance(text, str) else None
    if problem is not None:
        yield replace(problem, path=(word,))


def _event_problem(text: str) -> Problem | None:
    if is_event_name(text):
        return None
    hint = "lower-case words joined by dots, such as document.uploaded"
    return Problem("AUT110", f'"{text}" is not an event name', hint=hint)


def _jitter_problem(text: str) -> Problem | None:
    try:
        too_long = parse_duration(text) > MAX_JITTER
    except ValueError:
        return None  # the field's own type says so
    return Problem("SPE106", "jitter is at most 1h") if too_long else None


def is_live(secret: LiveSecret, now: datetime) -> bool:
    """Whether *secret* is still accepted at *now*."""
    return secret.not_after is None or now < secret.not_after
