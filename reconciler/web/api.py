"""The API for programs and people with a token: events, runs, executions.

Each route names the action that it needs; what a token of one organization can't see does not
exist for it. Not here: webhooks, which have secrets of their own, and health.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Depends

from reconciler.store.calls import Calls
from reconciler.store.database import Database
from reconciler.store.directory import Directory
from reconciler.store.event_records import EventRecords
from reconciler.store.events import Events
from reconciler.store.executions import Executions
from reconciler.store.replies import Replies
from reconciler.store.tokens import Tokens
from reconciler.web.api_events import EventRoutes
from reconciler.web.api_executions import ExecutionRoutes
from reconciler.web.api_runs import RunRoutes
from reconciler.web.auth import Authenticator
from reconciler.web.bodies import plain_texts
from reconciler.web.waiting import Waiting


def api_router(
    database: Database,
    executions: Executions,
    *,
    new_id: Callable[[], str],
    poke: Callable[[], None],
) -> APIRouter:
    """Make all routes of the API; *poke* tells workers that there is work."""
    directory = Directory(database)
    parts = (
        EventRoutes(Events(database, executions), EventRecords(database), new_id=new_id, poke=poke),
        ExecutionRoutes(executions, directory),
        RunRoutes(
            directory,
            Calls(database, executions),
            Waiting(executions, Replies(database)),
            poke,
        ),
    )
    login = Depends(Authenticator(Tokens(database)).provide)
    router = APIRouter(dependencies=[Depends(plain_texts), login])
    for part in parts:
        router.include_router(part.router())
    return router
