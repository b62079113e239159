"""`/livez`, `/readyz`, `/metrics`: for whoever watches the daemon. No login, no names, no secrets.

Live: the process answers. Ready: all checks pass and nobody told us to stop. While we stop,
everything but these three is answered with 503. Not here: what is checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler import metrics
from reconciler.web.answers import RETRY_AFTER, Refused, send_refused

PATHS: Final = frozenset({"/livez", "/readyz", "/metrics"})
PATIENCE: Final = 3.0  # seconds for one check; who asks gives up soon, too
_FRESH: Final = 1.0  # seconds that an answer is given again: asking often must cost nothing

Check = Callable[[], Awaitable[str | None]]


class Health:
    """Asks the checks (name -> the reason not to be ready, or None), at most once a second."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        remarks: Mapping[str, Check] | None = None,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """*remarks* are shown, but don't count; *refresh* brings gauges up to date for a scrape."""
        self._checks = checks
        self._remarks = remarks or {}
        self._refresh = refresh
        self._stopping = False
        self._known: tuple[float, dict[str, str], dict[str, str]] | None = None
        self._asking = asyncio.Lock()

    @property
    def stopping(self) -> bool:
        """Whether we were told to stop."""
        return self._stopping

    def stop(self) -> None:
        """Be not ready from now on."""
        self._stopping = True

    async def reasons(self) -> tuple[dict[str, str], dict[str, str]]:
        """Tell why we are not ready (nothing: we are), and what else is worth a remark."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._known is None or now - self._known[0] > _FRESH:
                reasons, remarks = await asyncio.gather(_ask(self._checks), _ask(self._remarks))
                self._known = (now, reasons, remarks)
            _, reasons, remarks = self._known
        if self._stopping:
            reasons = {"stopping": "the daemon was told to stop", **reasons}
        return reasons, remarks

    async def scrape(self) -> tuple[bytes, str]:
        """Give the metrics."""
        if self._refresh is not None:
            await self._refresh()
        return metrics.render()

    @property
    def checked(self) -> list[str]:
        """The names of the checks."""
        return list(self._checks)


async def _ask(checks: Mapping[str, Check]) -> dict[str, str]:
    answers = await asyncio.gather(*(_one(check) for check in checks.values()))
    return {name: why for name, why in zip(checks, answers, strict=True) if why is not None}


async def _one(check: Check) -> str | None:
    try:
        async with asyncio.timeout(PATIENCE):
            return await check()
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"


def health_router(health: Health) -> APIRouter:
    """Make the three routes."""
    router = APIRouter(tags=["health"])
    fresh = {"Cache-Control": "no-store"}

    @router.get("/livez", summary="Whether the process answers")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "live"}, headers=fresh)

    @router.get("/readyz", summary="Whether it can do its work", responses={503: {}})
    async def readyz() -> JSONResponse:
        reasons, remarks = await health.reasons()
        body = {
            "status": "not-ready" if reasons else "ready",
            "reasons": reasons,
            "remarks": remarks,
            "checked": health.checked,
        }
        headers = {**fresh, "Retry-After": str(RETRY_AFTER)} if reasons else fresh
        return JSONResponse(body, 503 if reasons else 200, headers)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def figures() -> Response:
        text, kind = await health.scrape()
        return Response(text, media_type=kind, headers=fresh)

    return router


class Draining:
    """An application that takes no new requests once the daemon was told to stop."""

    def __init__(self, app: ASGIApp, health: Health) -> None:
        self._app = app
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 503 so that it is sent to another daemon, or later."""
        if scope["type"] == "http" and self._health.stopping and scope["path"] not in PATHS:
            headers = {"Retry-After": str(RETRY_AFTER)}
            message = "the daemon is stopping; another one, or this one later, will take it"
            await send_refused(send, Refused(503, "stopping", message, headers), close=True)
            return
        await self._app(scope, receive, send)
