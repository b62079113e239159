"""The API for programs and people with a token: events, runs, executions.

Each route names the action that it needs; what a token of one organization can't see does not
exist for it. Not here: webhooks, which have secrets of their own, and health.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Depends

from reconciler.store.database import Database
from reconciler.store.deliveries import Deliveries
from reconciler.store.directory import Directory
from reconciler.store.event_records import EventRecords
from reconciler.store.events import Events
from reconciler.store.executions import Executions
from reconciler.store.replies import Replies
from reconciler.store.tokens import Tokens
from reconciler.web.api_events import events_router
from reconciler.web.api_executions import executions_router
from reconciler.web.api_runs import runs_router
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
    auth = Authenticator(Tokens(database))
    directory = Directory(database)
    router = APIRouter(dependencies=[Depends(plain_texts)])
    router.include_router(
        events_router(
            auth, Events(database, executions), EventRecords(database), new_id=new_id, poke=poke
        )
    )
    router.include_router(executions_router(auth, executions, directory))
    router.include_router(
        runs_router(
            auth,
            directory,
            Deliveries(database, new_id=new_id),
            Waiting(executions, Replies(database)),
            poke,
        )
    )
    return router
