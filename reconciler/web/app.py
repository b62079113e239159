"""Puts the routes of all parts together into one ASGI application.

A part is a FastAPI router, or a plain ASGI application that gets all paths below a prefix
without passing through the framework. Errors become `{"error": {"code", "message"}}` here,
once for all. Not here: any route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler import __version__
from reconciler.errors import ReconcilerError
from reconciler.web.answers import Refused, error_body, refused
from reconciler.web.limits import BodyLimits, Limited

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_WORDS = {401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "wrong-method"}


def make_app(
    routers: Sequence[APIRouter],
    *,
    direct: Mapping[str, ASGIApp] | None = None,
    limits: BodyLimits | None = None,
) -> ASGIApp:
    """Build the application from *routers*; *direct* maps a path prefix to an ASGI application."""
    app = FastAPI(
        title="reconciler",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
    )
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(ReconcilerError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    return Limited(_Front(app, direct or {}), limits or BodyLimits())


class _Front:
    """Sends paths with a prefix of their own past the framework."""

    def __init__(self, app: ASGIApp, direct: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._direct = tuple(direct.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            for prefix, app in self._direct:
                if path.startswith(prefix):
                    await app(scope, receive, send)
                    return
        await self._app(scope, receive, send)


def _answer(why: Refused) -> JSONResponse:
    headers = {**_HEADERS, **why.headers}
    return JSONResponse(error_body(why.code, why.message), why.status, headers)


async def _on_refused(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, Refused)
    return _answer(error)


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, ReconcilerError)
    return _answer(refused(error))


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Say where a body or parameter is wrong and why, but never repeat its value."""
    del request
    assert isinstance(error, RequestValidationError)
    details = [
        {"at": [str(part) for part in problem["loc"]], "problem": str(problem["msg"])}
        for problem in error.errors()[:20]
    ]
    body = error_body("invalid", "the request is not as it should be", details=details)
    return JSONResponse(body, 422, _HEADERS)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, HTTPException)
    code = _WORDS.get(error.status_code, "refused")
    headers = dict(error.headers or {})
    return _answer(Refused(error.status_code, code, str(error.detail).lower(), headers))
