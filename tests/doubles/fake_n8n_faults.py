"""What can go wrong between us and a `FakeN8n`, on purpose.

A fault meets the k-th matching call. *after* says whether n8n did what it was asked
before things went wrong: then the answer is lost and the effect is there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.doubles.fake_n8n import FakeN8n


class Trouble(enum.Enum):
    """The ways a call can fail."""

    RESET = "the connection breaks"
    REFUSED = "nobody listens"
    HANG = "no answer ever comes"
    HTML = "a page instead of JSON, with status 200"
    STARTING = "a page that says n8n is starting, with status 503"
    ERROR = "500 with a message"
    BUSY = "429 with Retry-After"
    BAD_GATEWAY = "502 from a proxy"
    UNAUTHORIZED = "401"


class Broken(Exception):
    """No answer: *trouble* is RESET, REFUSED or HANG."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


@dataclass(slots=True, kw_only=True)
class Fault:
    """Fail the *nth* call (from 1) that matches, *times* times; or run *act* before it."""

    trouble: Trouble | None = None
    nth: int = 1
    times: int = 1
    after: bool = False
    method: str | None = None
    path: str | None = None  # a part of the path
    writes: bool = False  # only calls that change something
    retry_after: str = "1"
    act: Callable[[FakeN8n], None] | None = None  # such as deleting a row while pages are read
    seen: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Count a call and tell whether it is the one."""
        if self.method not in {None, method} or (self.path or "") not in path:
            return False
        if self.writes and method == "GET":
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Give the answer of a fault that has one; raises Broken for the others."""
        html, json_ = {"content-type": "text/html"}, {"content-type": "application/json"}
        match self.trouble:
            case Trouble.HTML:
                return 200, html, b"<!DOCTYPE html><html><title>Sign in</title></html>"
            case Trouble.STARTING:
                return 503, html, b"<html><pre>n8n is starting up. Please wait</pre></html>"
            case Trouble.ERROR:
                return 500, json_, b'{"message":"Internal server error"}'
            case Trouble.BUSY:
                headers = {**json_, "retry-after": self.retry_after}
                return 429, headers, b'{"message":"Too many requests"}'
            case Trouble.BAD_GATEWAY:
                return 502, html, b"<html><title>502 Bad Gateway</title></html>"
            case Trouble.UNAUTHORIZED:
                return 401, json_, b'{"message":"Unauthorized"}'
            case None:
                raise AssertionError("a fault without trouble has no answer")
            case trouble:
                raise Broken(trouble)
