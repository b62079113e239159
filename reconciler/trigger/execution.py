"""An execution as data: what starts one, what a worker gets, how it ended.

The row of `workflow_executions` is the job; these are its shapes on the way in and out.
Not here: the rows (`reconciler.store.executions`), nor running them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from reconciler.resource.payload import Value

# What callers may give to make a run or an event known again. An empty one is a variable that was
# never set; a blank or a control character can't be told apart where it is read.
CALLERS_KEY: Final = r"^[!-~]{1,200}$"


class Status(enum.StrEnum):
    """The seed's words for where an execution is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


TERMINAL: Final = frozenset({Status.SUCCESS, Status.FAILED, Status.TIMEOUT, Status.CANCELLED})


class Cause(enum.StrEnum):
    """What started an execution."""

    WEBHOOK = "webhook"
    SCHEDULE = "schedule"
    EVENT = "event"
    MANUAL = "manual"
    API = "api"
    NATIVE = "native"  # n8n started it by itself, for a trigger node of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class NewExecution:
    """A run that something asks for; it becomes a row, or is known already by its key."""

    automation_id: str
    cause: Cause
    trigger_data: Value  # an object is one item for the workflow, a list of objects several
    trigger_id: str | None = None
    idempotency_key: str | None = None
    scheduled_for: datetime | None = None
    run_at: datetime | None = None  # None: now, by the database's clock
    priority: int = 100  # smaller is sooner
    retry_of: str | None = None
    method: str | None = None  # of the webhook call
    metadata: Mapping[str, Value] = field(default_factory=dict)


class Refusal(enum.StrEnum):
    """Why a run that was asked for did not become a row."""

    UNKNOWN = "unknown"  # no such automation (or trigger), or not in this organization
    INACTIVE = "inactive"
    FULL = "full"  # as many wait as may wait
    UNSTORABLE = "unstorable"  # its data holds what no database column can: NUL, half a character


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a NewExecution: exactly one of *id* and *refusal* is set."""

    id: str | None = None
    status: Status | None = None
    fresh: bool = False  # False: the key was known, *id* is the first execution
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One way into a workflow, as the automation's row lists it in metadata.reconciler.entry."""

    node: str
    field: str
    kind: str  # webhook, schedule or manual
    methods: tuple[str, ...] = ()


# These two are made for each run, and freezing objects of so many fields takes longer than reading
# them from PostgreSQL. Nobody changes them all the same.
@dataclass(slots=True, kw_only=True)
class Claimed:
    """A row that a worker owns until its lease ends; all it needs to run it."""

    id: str
    automation_id: str
    organization_id: str
    organization: str  # its name in the specs: the entry's secret is derived from it
    automation: str  # its name in the specs
    workflow_id: str | None  # n8n's
    branches: tuple[Branch, ...]
    trigger_name: str | None
    cause: Cause
    method: str | None
    trigger_data: Value
    attempt: int  # 1 is the first
    max_attempts: int
    timeout_seconds: float
    at_most_once: bool
    revision: str | None
    n8n_execution_id: str | None  # known when a run is taken over
    adopted: bool  # taken over from a worker that is gone, after its attempt began
    elapsed_seconds: float = 0.0  # since the attempt began; not 0 only when adopted
    cancel_requested: bool = False
    began_at: datetime | None = None  # the attempt, by the database's clock


@dataclass(slots=True, kw_only=True)
class Ended:
    """How one attempt ended; written only if the worker still owns the row."""

    id: str
    attempt: int
    status: Status  # a terminal one; QUEUED: try again in *retry_in* seconds
    outcome: Status | None = None  # of the attempt, when the row goes back to QUEUED
    retry_in: float | None = None
    milliseconds: int = 0
    n8n_execution_id: str | None = None
    n8n_version_id: str | None = None
    output: Value = None
    output_truncated: bool = False
    error_message: str | None = None
    error_stack: str | None = None
    error_node: str | None = None
    counts: bool = True  # False: says nothing about the workflow, no attempt is spent
    # The claim that is meant. Of an attempt that is not spent the next claim has the number again.
    began_at: datetime | None = None
