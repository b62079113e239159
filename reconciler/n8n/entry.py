"""The managed entry from outside: one POST that starts a run, and what its answer means.

The API key never goes there; the organization's entry secret goes nowhere else. Whether
a run began is certain only when n8n itself says so, in its own words: a Respond to
Webhook node may answer with any status and words, and a proxy with anything. What is not
certain is looked up by the correlation id (`reconciler.n8n.follow`), never sent again.

n8n tells its own words from a workflow's: what a run answers bears a sandbox policy, a header
that no workflow can take away or set, and n8n's refusals don't (tests/conformance holds this).
An administrator can switch it off, and a proxy drop it; so refusals are believed only of an
n8n whose answers were seen to bear it, and looked up otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import httpx

from reconciler.errors import ReconcilerError
from reconciler.n8n.answers import Answer, retry_after
from reconciler.n8n.client import Limits
from reconciler.n8n.lanes import Lanes
from reconciler.n8n.location import Location
from reconciler.resource.payload import Json, Object
from reconciler.workflow.entry import ENTRY_HEADER

_STARTED: Final = "Workflow was started"
_FAILED: Final = "Error in workflow"  # n8n's words where the workflow failed before it answered
_ANSWER_LIMIT = 1024 * 1024  # bytes of an answer that are kept
_TEMPORARY = frozenset({408, 425, 429})
_GATEWAY = frozenset({502, 503, 504})  # what stands before n8n, or n8n as it starts
_POLICY: Final = "content-security-policy"
_NOT_KEPT = frozenset({
    "connection", "transfer-encoding", "content-length", "date", "keep-alive", _POLICY
})  # fmt: skip


class NotStarted(ReconcilerError):
    """No run began: for certain, or as far as n8n shows (*certain* is false then).

    *retryable*: it may work later, after *retry_after* seconds at least if that is given;
    *unreachable*: n8n itself is away, which says nothing about the workflow.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        unreachable: bool = False,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable
        self.unreachable = unreachable
        self.retry_after = retry_after
        self.certain = True


class StartUnknown(ReconcilerError):
    """The call went out and what came back does not tell whether a run began."""

    def __init__(self, message: str, *, answer: Reply | None, otherwise: NotStarted) -> None:
        super().__init__(message)
        self.answer = answer  # of the workflow, if a run began
        self.otherwise = otherwise  # what to raise if none did
        otherwise.certain = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What a workflow answered through a Respond to Webhook node."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run began. Its id is not told: an answer that names one is a workflow's own words."""


class Entry:
    """Calls managed entries; close it with `aclose`."""

    def __init__(
        self,
        location: Location,
        limits: Limits,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._location = location
        self._lanes = Lanes(location, limits, transport)
        self._marks = False  # this n8n marks what runs answer

    async def aclose(self) -> None:
        """Close all connections."""
        await self._lanes.aclose()

    async def post(
        self, automation_id: str, secret: str, body: Object, seconds: float, now: datetime
    ) -> Started:
        """Start a run; waits up to *seconds* for the answer. Raises NotStarted or StartUnknown."""
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = {ENTRY_HEADER: secret, "Content-Type": "application/json"}
        url = self._location.webhook(automation_id)
        try:
            async with asyncio.timeout(seconds):
                response = await self._lanes.post(url, content, headers, seconds)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _away(f"n8n at {self._location.url} can't be reached") from error
        except (httpx.HTTPError, TimeoutError) as error:
            what = "no answer" if isinstance(error, TimeoutError | httpx.TimeoutException) else ""
            message = f"n8n took the call and then {what or 'broke the connection'}"
            raise StartUnknown(message, answer=None, otherwise=_away(message)) from error
        answer = Answer(response.status_code, response.headers, response.content)
        marks = self._marks or marked(answer)
        # No refusal is a success, so that a run answered; only then a missing mark says something.
        self._marks = marked(answer) if answer.status < 300 else marks
        return judge(answer, now, marks=marks)


def marked(answer: Answer) -> bool:
    """Whether n8n says that these are the words of a run, not its own."""
    return "sandbox" in answer.headers.get(_POLICY, "")


def judge(answer: Answer, now: datetime, *, marks: bool) -> Started:
    """Say whether a run began, from what came back; raises NotStarted or StartUnknown.

    *marks*: this n8n is known to mark what runs answer, so that its own words are certain.
    """
    said = _said(answer)
    if answer.status == 200 and said.get("message") == _STARTED:
        return Started()
    refusal = None if marked(answer) else _refusal(answer, said)
    if refusal is not None:
        if marks:
            raise refusal
        raise StartUnknown(refusal.message, answer=_reply(answer), otherwise=refusal)
    message = f"the entry answered with status {answer.status}"
    words = said.get("message")
    if isinstance(words, str):
        message = f"{message}: {words[:500]}"
    otherwise = NotStarted(
        message,
        retryable=answer.status in _TEMPORARY or not 400 <= answer.status < 500,
        unreachable=answer.status in _GATEWAY,
        retry_after=retry_after(answer, now),
    )
    own = answer.status == 500 and words == _FAILED
    raise StartUnknown(message, answer=None if own else _reply(answer), otherwise=otherwise)


def _refusal(answer: Answer, said: Object) -> NotStarted | None:
    """Recognize n8n's own words for: nothing was started."""
    text = answer.content[:2000].decode("utf-8", "replace")
    words = str(said.get("message", ""))
    match answer.status:
        case 404 if said.get("code") == 404 and "is not registered" in words:
            return NotStarted(
                "n8n does not serve this workflow (now): it is not published, or was deleted",
                retryable=True,
                hint="`reconciler plan` tells whether the workflow is there and published",
            )
        case 403 if text.startswith("Authorization data is wrong"):
            return NotStarted(
                "n8n refuses the entry's secret",
                retryable=False,
                hint="`reconciler drift` tells whether the organization's credential was changed",
            )
        case 500 if "No authentication data defined on node" in text:
            # n8n's Webhook node says the same when it fails to load the credential: as n8n
            # stops or starts, or while its database is away. That passes.
            return NotStarted(
                "n8n has no credential for the entry, or can't load it now",
                retryable=True,
                hint="`reconciler plan` tells whether the organization's credential is there",
            )
        case 413 if "too large" in text.lower():
            return NotStarted("what the run should get is too large for n8n", retryable=False)
        case 422 if words.startswith("Failed to parse request body"):
            return NotStarted(f"n8n can't read what the run should get: {words}", retryable=False)
        case 503 if "n8n is starting up" in text:
            return _away("n8n is starting")
    return None


def _away(message: str) -> NotStarted:
    return NotStarted(
        message, retryable=True, unreachable=True, hint="is n8n running, and is N8N_URL right?"
    )


def _said(answer: Answer) -> Object:
    try:
        value: Json = json.loads(answer.content) if len(answer.content) < 10_000 else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _reply(answer: Answer) -> Reply | None:
    if len(answer.content) > _ANSWER_LIMIT:
        return None
    kept = {key: value for key, value in answer.headers.items() if key.lower() not in _NOT_KEPT}
    return Reply(answer.status, kept, answer.content)
