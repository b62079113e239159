"""What an answer of n8n means: the JSON object in it, or one of our errors in n8n's own words. Pure.

n8n answers mistakes with ``{"message": ...}``, but a broken body with a page of HTML
and 500, and whatever stands before it (a proxy, a login page, a start-up notice)
with HTML of any status, 200 included. Only JSON is ever taken for n8n's word: a 404
page from a proxy must not look like a workflow that was deleted.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from reconciler.errors import (
    N8nConflict,
    N8nError,
    N8nForbidden,
    N8nInvalid,
    N8nNotFound,
    N8nUnauthorized,
    N8nUnavailable,
    N8nUnreachable,
    ReconcilerError,
)
from reconciler.n8n.deep import read_deep
from reconciler.resource.payload import Json, Object

_DETAIL_LIMIT = 1000
_TOO_MANY = 429
_LONGEST_WAIT = 86_400.0  # seconds; whoever asks for more makes a mistake
_TEMPORARY = frozenset({408, 425, 429})
_WRONG_ADDRESS = "check that N8N_URL is the address of n8n itself, and that its public API is on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as errors speak of it; *secrets* are cut out of everything n8n says."""

    method: str
    path: str
    idempotent: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice is as good as once."""
        return self.reads or self.idempotent

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, as far as it matters; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def read(call: Call, answer: Answer, now: datetime) -> Object:
    """Return the JSON object in *answer*, a bare list as ``{"data": [...]}``; raises N8nError and kin."""
    if 200 <= answer.status < 300:
        return _success(call, answer)
    raise _failure(call, answer, now)


def _success(call: Call, answer: Answer) -> Object:
    if not answer.content.strip():
        return {}
    value = _json(answer)
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {"data": value}
    raise N8nUnavailable(
        f"{call} was answered with something that is not JSON",
        status=answer.status,
        detail=_words(answer, call.secrets),
        outcome_unknown=not call.reads,
        hint=_WRONG_ADDRESS,
    )


def _failure(call: Call, answer: Answer, now: datetime) -> ReconcilerError:
    status = answer.status
    detail = _words(answer, call.secrets)
    said = detail.rstrip(". ") or f"HTTP status {status}"
    refused = f"n8n refuses {call}: {said}"
    match status:
        case _ if 300 <= status < 400:
            target = answer.headers.get("location", "")
            return N8nUnreachable(
                f"the address of n8n redirects to {target!r}", hint=_WRONG_ADDRESS
            )
        case 401:
            return N8nUnauthorized(
                f"n8n refuses the API key: {said}",
                hint="make a new key in n8n (Settings > n8n API) and set N8N_API_KEY",
            )
        case 403:
            return N8nForbidden(refused, status=status, detail=detail, hint=_forbidden(detail))
        case 404:
            return _missing(call, answer, detail)
        case 409:
            return N8nConflict(refused, status=status, detail=detail)
        case _ if status >= 500 or status in _TEMPORARY:
            return N8nUnavailable(
                f"n8n could not answer {call} ({status}): {said}",
                status=status,
                detail=detail,
                hint="n8n is busy" if status == _TOO_MANY else "look into n8n's log",
                retry_after=retry_after(answer, now),
                outcome_unknown=not call.reads and status not in _TEMPORARY,
            )
    return N8nInvalid(refused, status=status, detail=detail)


def _missing(call: Call, answer: Answer, detail: str) -> N8nError:
    if not isinstance(_json(answer), dict):
        return N8nUnavailable(
            f"{call} was answered with a page that is not n8n's (404)",
            status=404,
            detail=detail,
            hint=_WRONG_ADDRESS,
        )
    if detail == "not found":  # n8n writes "Not Found" for an object, this for a route
        return N8nInvalid(
            f"this n8n does not know {call}",
            status=404,
            detail=detail,
            hint="its version is too old or too new for this reconciler, see `reconciler doctor`",
        )
    return N8nNotFound(f"n8n has no such object ({call}): {detail}", status=404, detail=detail)


def _forbidden(detail: str) -> str:
    if "license" in detail.lower():
        return "this feature is not part of n8n's Community Edition"
    return "the API key needs more scopes: make one with all scopes for workflows and credentials"


def _json(answer: Answer) -> Json:
    try:
        try:
            value: Json = json.loads(answer.content)
        except RecursionError:  # one run's data, which must not hide the others in a listing
            value = read_deep(answer.content)
    except ValueError:
        return None
    return value


def _words(answer: Answer, secrets: tuple[str, ...]) -> str:
    """What n8n says in *answer*, on one line, without *secrets*."""
    value = _json(answer)
    if isinstance(value, dict):
        text = value.get("message") or value.get("error") or json.dumps(value)
        words = text if isinstance(text, str) else json.dumps(text)
    else:
        words = _from_page(answer.content[:100_000].decode("utf-8", "replace"))
    for secret in secrets:
        words = words.replace(secret, "***")
    return words if len(words) <= _DETAIL_LIMIT else f"{words[:_DETAIL_LIMIT]}..."


def _from_page(text: str) -> str:
    found = re.search(r"<pre>(.*?)(?:<br|</pre>)", text, re.DOTALL) or re.search(
        r"<title>(.*?)</title>", text, re.DOTALL
    )
    plain = re.sub(r"<[^>]*>", " ", found.group(1) if found else text[:_DETAIL_LIMIT])
    return " ".join(html.unescape(plain).split())


def retry_after(answer: Answer, now: datetime) -> float | None:
    """How many seconds n8n asks us to wait: a number or a date, as HTTP has it."""
    text = answer.headers.get("retry-after")
    if text is None:
        return None
    try:
        if text.strip().isdecimal():
            return min(float(text), _LONGEST_WAIT)
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (aware - now).total_seconds()), _LONGEST_WAIT)


def ahead(headers: Mapping[str, str], now: datetime, known: float | None) -> float | None:
    """How many seconds the clock that wrote an answer's ``Date`` is ahead; *known* if it has none."""
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, OverflowError):
        return known
    return known if moment.tzinfo is None else (moment - now).total_seconds()
