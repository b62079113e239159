"""What callers of the API send: bodies and query parameters, checked before anything else is done.

Not here: what is done with them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

from fastapi import Header, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.spec.quantity import parse_duration
from reconciler.store.event_records import EventState
from reconciler.trigger.execution import CALLERS_KEY, Cause, Status
from reconciler.trigger.jsonbody import BadJson, read_json
from reconciler.web.answers import Refused

ModelT = TypeVar("ModelT", bound=BaseModel)
MAX_PAGE: Final = 200
MAX_WAIT: Final = 60.0  # seconds
_FAR: Final = timedelta(days=3660)


class EventBody(BaseModel):
    """An event."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Annotated[str, Field(max_length=100)] = Field(
        description="A trigger type such as DOCUMENT_UPLOADED, or an event name"
    )
    id: Annotated[str, Field(pattern=CALLERS_KEY)] | None = Field(
        default=None, description="Yours, unique in the organization; made up if left out"
    )
    data: dict[str, Any] = Field(
        default_factory=dict, description="What each workflow gets as its item"
    )


class RunBody(BaseModel):
    """A wish to run an automation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: dict[str, Any] | list[dict[str, Any]] = Field(
        default_factory=dict, description="One item for the workflow, or several"
    )
    trigger: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="Name of the trigger it stands for"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCall:
    """A call that asks for a run: its body, what makes it known again, how long it waits."""

    body: RunBody
    key: str | None
    wait: float  # seconds


class ExecutionsQuery(BaseModel):
    """Which executions to list."""

    model_config = ConfigDict(extra="forbid")

    automation: Annotated[str, Field(max_length=200)] | None = None
    status: Annotated[list[Status], Field(max_length=10)] | None = None
    cause: Annotated[list[Cause], Field(max_length=10)] | None = None
    since: Annotated[str, Field(max_length=40)] | None = None
    until: Annotated[str, Field(max_length=40)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    cursor: Annotated[str, Field(max_length=400)] | None = None


class EventsQuery(BaseModel):
    """Which events to list."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(max_length=100)] | None = None
    state: EventState | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    before: Annotated[str, Field(max_length=200)] | None = None


def body_of(
    model: type[ModelT], *, optional: bool = False
) -> Callable[[Request], Awaitable[ModelT]]:
    """Give the dependency that reads a body as *model*; *optional*: none is like `{}`."""

    async def read(request: Request) -> ModelT:
        raw = await request.body()
        if not raw and optional:
            return model()
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            message = "the body must be JSON, with Content-Type: application/json"
            raise Refused(415, "not-json", message)
        try:
            return model.model_validate(read_json(raw))
        except BadJson as error:
            raise Refused(400, "bad-json", f"the body is {error}") from None
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False)) from None

    return read


async def run_call(
    request: Request,
    idempotency_key: Annotated[str | None, Header(pattern=CALLERS_KEY)] = None,
    wait: Annotated[str | None, Query(max_length=20)] = None,
) -> RunCall:
    """Read a call that asks for a run; raises Refused."""
    seconds = wait_seconds(wait)
    return RunCall(
        body=await _RUN_BODY(request),
        key=idempotency_key,
        wait=seconds,
    )


def schema_of(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Describe a body for OpenAPI."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


def plain_texts(request: Request) -> None:
    """Refuse signs in path and query that no database can search for."""
    texts = [
        request.scope["path"],
        *(part for pair in request.query_params.multi_items() for part in pair),
    ]
    if any(sign in text for text in texts for sign in ("\0", "\ufffd")):
        raise Refused(400, "malformed", "the address contains characters that nothing is called by")


def wait_seconds(wait: str | None) -> float:
    """Read `?wait=10s`; raises Refused."""
    if wait is None:
        return 0.0
    try:
        return min(parse_duration(wait).total_seconds(), MAX_WAIT)
    except ValueError:
        raise Refused(400, "bad-wait", "wait is a duration such as 10s") from None


def moment(text: str | None, word: str) -> datetime | None:
    """Read a time with a zone, or a duration: that long ago; raises Refused."""
    if text is None:
        return None
    if re.match(r"^[0-9]+(ms|s|m|h|d)", text):
        ago = wait_or_none(text)
        if ago is not None and ago <= _FAR:
            return datetime.now(UTC) - ago
    else:
        try:
            found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign in a query
        except ValueError:
            found = None
        if found is not None and found.tzinfo is not None and 1900 < found.year < 9000:
            return found
    message = f"{word} is a time with a zone such as 2026-01-31T09:00:00Z, or a duration such as 2h"
    raise Refused(422, "invalid", message)


def wait_or_none(text: str) -> timedelta | None:
    """Read a duration; None when it is none."""
    try:
        return parse_duration(text)
    except (ValueError, OverflowError):
        return None


_RUN_BODY: Final = body_of(RunBody, optional=True)
