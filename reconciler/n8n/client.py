"""The HTTP client for n8n's public API: one call, its retries, its errors.

Rules: each request has a time limit; reads are tried again, writes only when the
caller calls them idempotent or when they never left this machine; the API key goes
to the API and nowhere else, neither to a webhook nor into an error. Not here: what
an answer means (`answers`), how listings are paged (`paging`), which endpoints
exist (`reconciler.kinds`).
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self

import httpx

from reconciler.clock import Clock, SystemClock
from reconciler.errors import ConfigError, N8nUnavailable, N8nUnreachable
from reconciler.n8n import answers, paging
from reconciler.n8n.answers import Answer, Call
from reconciler.n8n.location import Location, locate
from reconciler.resource.api import Query
from reconciler.resource.payload import Object

_KEEPALIVE = 4.0  # n8n hangs up after 5 idle seconds; a connection older than that may be dead
_FIRST_WAIT = 0.25
_LONGEST_WAIT = 30.0
_SECRET_LENGTH = 4  # shorter values are words like "true", not secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long, how often and how many at once; times in seconds."""

    connect: float = 5.0
    read: float = 30.0  # between two pieces of an answer
    total: float = 90.0  # for one call with all its retries
    attempts: int = 4
    concurrency: int = 8


class N8n:
    """n8n's public API; implements `reconciler.resource.api.Api`. Close it with `aclose`."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._location = locate(url)
        self._key = _checked(api_key)
        self._limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._client = http_client(self._location, self._limits, transport)
        self.ahead: float | None = None  # seconds that n8n's clock is ahead of ours, if it said so

    @property
    def url(self) -> str:
        """Where n8n is, without a slash at the end."""
        return self._location.url

    async def __aenter__(self) -> Self:
        """Use it as a context manager that closes the connections."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def get(self, path: str, **query: Query) -> Object:
        """Read one object."""
        return await self._call(self._named("GET", path, None, idempotent=True), None, query)

    async def post(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        """Create an object or call an action."""
        return await self._call(self._named("POST", path, body, idempotent=idempotent), body, query)

    async def put(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        """Replace an object."""
        return await self._call(self._named("PUT", path, body, idempotent=idempotent), body, query)

    async def patch(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        """Change some fields of an object."""
        return await self._call(
            self._named("PATCH", path, body, idempotent=idempotent), body, query
        )

    async def delete(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        """Delete an object and return what it was."""
        return await self._call(
            self._named("DELETE", path, body, idempotent=idempotent), body, query
        )

    def pages(self, path: str, **query: Query) -> AsyncIterator[Object]:
        """Yield every row of a listing once, see `reconciler.n8n.paging`."""

        async def fetch(cursor: str | None) -> Object:
            if cursor is None:
                return await self.get(path, limit=paging.LIMIT, **query)
            return await self.get(path, limit=paging.LIMIT, cursor=cursor, **query)

        return paging.rows(fetch)

    async def probe(self, path: str) -> int:
        """POST to the webhook at *path* without credentials and return the HTTP status."""
        call = Call(method="POST", path=f"/webhook/{path}")
        request = self._client.build_request("POST", self._location.webhook(path))
        return (await self._send(call, request)).status

    async def text(self, path: str) -> str:
        """Read a page of n8n outside its API, such as ``/healthz``, without the API key."""
        request = self._client.build_request("GET", f"{self.url}{path}")
        answer = await self._send(Call(method="GET", path=path), request)
        return answer.content.decode("utf-8", "replace")

    def _named(self, method: str, path: str, body: Object | None, *, idempotent: bool) -> Call:
        secrets = [self._key]
        if body is not None and path.startswith("/credentials"):
            secrets += _strings(body.get("data"))
        return Call(method=method, path=path, idempotent=idempotent, secrets=tuple(secrets))

    async def _call(self, call: Call, body: Object | None, query: dict[str, Query]) -> Object:
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        url = self._location.api(call.path)
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._patiently(call, url, content, query)
        except TimeoutError as error:
            raise N8nUnreachable(
                f"n8n did not finish {call} within {self._limits.total:g} s",
                outcome_unknown=not call.reads,
            ) from error

    async def _patiently(
        self, call: Call, url: str, content: bytes | None, query: dict[str, Query]
    ) -> Object:
        headers = {"X-N8N-API-KEY": self._key}
        if content is not None:
            headers["Content-Type"] = "application/json"
        left, wait = self._limits.attempts, _FIRST_WAIT
        while True:
            request = self._client.build_request(
                call.method, url, params=_texts(query) or None, headers=headers, content=content
            )
            try:
                answer = await self._send(call, request)
                return answers.read(call, answer, self._clock.now())
            except (N8nUnreachable, N8nUnavailable) as error:
                left -= 2 if isinstance(error.__cause__, httpx.ReadTimeout) else 1
                if left <= 0 or not _worth_repeating(call, error):
                    raise
                asked = error.retry_after if isinstance(error, N8nUnavailable) else None
            await self._clock.sleep(
                min(_LONGEST_WAIT, max(asked or 0, wait * random.uniform(1, 1.5)))
            )
            wait *= 2

    async def _send(self, call: Call, request: httpx.Request) -> Answer:
        try:
            response = await self._client.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise N8nUnreachable(
                f"n8n at {self.url} can't be reached: {_reason(error)}",
                hint="is it running, and is N8N_URL right?",
            ) from error
        except httpx.TimeoutException as error:
            raise N8nUnreachable(
                f"n8n did not answer {call} within {self._limits.read:g} s",
                outcome_unknown=not call.reads,
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise N8nUnreachable(
                f"the connection to n8n broke during {call}: {_reason(error)}",
                outcome_unknown=not call.reads,
            ) from error
        self.ahead = answers.ahead(response.headers, self._clock.now(), self.ahead)
        return Answer(response.status_code, response.headers, response.content)


def tls_context(location: Location) -> ssl.SSLContext:
    """Make what connections to n8n trust; reading the system's certificates takes a while."""
    # Longer than a whole plan, and plain HTTP needs none.
    return httpx.create_ssl_context() if location.tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(
    location: Location,
    limits: Limits,
    transport: httpx.AsyncBaseTransport | None,
    tls: ssl.SSLContext | None = None,
) -> httpx.AsyncClient:
    """Open connections to n8n that are safe to reuse; nobody's key is in them."""
    headers = {"User-Agent": "reconciler", "Accept": "application/json"}
    if location.loopback:  # packing costs n8n more than the loopback does
        headers["Accept-Encoding"] = "identity"
    return httpx.AsyncClient(
        transport=transport,
        headers=headers,
        timeout=httpx.Timeout(limits.read, connect=limits.connect, pool=None),
        limits=httpx.Limits(
            max_connections=None,
            max_keepalive_connections=limits.concurrency,
            keepalive_expiry=_KEEPALIVE,
        ),
        verify=tls or tls_context(location),
        # A workflow may set cookies; another organization's must not get them.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=not location.loopback,  # no proxy between us and this machine
        follow_redirects=False,
    )


def _worth_repeating(call: Call, error: N8nUnreachable | N8nUnavailable) -> bool:
    """Whether trying again can help and can't do anything twice."""
    if isinstance(error, N8nUnreachable):
        never_left = isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)
        return never_left or (call.repeatable and error.__cause__ is not None)
    return call.repeatable


def _checked(key: str) -> str:
    text = key.strip()
    if not text:
        raise ConfigError("the API key of n8n is empty", hint="set N8N_API_KEY")
    if not all("!" <= character <= "~" for character in text):
        raise ConfigError(
            "the API key of n8n contains characters that no key has",
            hint="copy it again from n8n (Settings > n8n API)",
        )
    return text


def _texts(query: dict[str, Query]) -> dict[str, str]:
    return {
        name: ("true" if value else "false") if isinstance(value, bool) else str(value)
        for name, value in query.items()
    }


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if len(value) >= _SECRET_LENGTH else []
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []


def _reason(error: Exception) -> str:
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__
