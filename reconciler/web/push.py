"""`POST /api/push`: a git server says that somebody pushed, and all daemons look for news at once.

Without a push secret there is no such route. Not here: fetching (`reconciler.source.mirror`).
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from reconciler.log import get_logger
from reconciler.store.database import Database
from reconciler.store.sources import Sources
from reconciler.trigger.push import is_genuine, read_push
from reconciler.web.answers import Refused

_log = get_logger("push")


def push_router(database: Database, *, secret: str, branch: str) -> APIRouter:
    """Make the route for pushes to *branch* that are signed with *secret*."""
    sources = Sources(database)
    router = APIRouter()

    @router.post("/api/push", status_code=202)
    async def push(request: Request) -> JSONResponse:
        """Look for a newer commit now, if the push is about the branch that is followed."""
        body = await request.body()
        if not is_genuine(request.headers.raw, body, secret):
            raise Refused(401, "unauthorized", "the push is not signed with the push secret")
        pushed = read_push(body)
        if pushed is None:
            raise Refused(400, "invalid", "the body is not the JSON of a push")
        looking = pushed.branch == branch
        if looking:
            await sources.ask()
            _log.info("pushed", branch=branch)
        return JSONResponse({"looking": looking}, 202)

    return router
