"""Events over HTTP: send one, look at what became of them."""

# No postponed annotations here: FastAPI reads them, and they name what is local to a function.

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from reconciler import metrics
from reconciler.access import Action, Principal
from reconciler.store.event_records import EventFilter, EventRecords, EventState
from reconciler.store.events import Events, NewEvent
from reconciler.store.execution_documents import event_document, started_document
from reconciler.web.answers import Refused
from reconciler.web.auth import Authenticator
from reconciler.web.bodies import MAX_PAGE, EventBody, body_of, schema_of


def events_router(
    auth: Authenticator,
    events: Events,
    records: EventRecords,
    *,
    new_id: Callable[[], str],
    poke: Callable[[], None],
) -> APIRouter:
    """Make the routes below /api/events; *poke* tells workers that there is work."""
    router = APIRouter()
    sends = Depends(auth.requires(Action.EVENTS_SEND))
    views = Depends(auth.requires(Action.EVENTS_VIEW))

    @router.post("/api/events", status_code=202, openapi_extra=schema_of(EventBody))
    async def send(
        who: Annotated[Principal, sends],
        body: Annotated[EventBody, Depends(body_of(EventBody))],
    ) -> JSONResponse:
        """Send an event: it is stored and starts what hears it, before this is answered."""
        new = NewEvent(
            organization_id=_home(who),
            id=body.id or new_id(),
            type=body.type,
            data=body.data,
            sent_by=who.name,
        )
        try:
            sent = await events.send(new)
        except ValueError as error:
            raise Refused(422, "invalid", str(error)) from None
        if sent.fresh:
            metrics.EVENTS.labels("accepted").inc()
            metrics.DISPATCHED.inc(len(sent.executions))
            poke()
        else:
            metrics.EVENTS.labels("known").inc()
        document: dict[str, Any] = {
            "eventId": sent.id,
            "duplicate": not sent.fresh,
            "waiting": sent.waiting,
            "error": sent.error,
            "executions": [started_document(one) for one in sent.executions],
        }
        return JSONResponse(document, 202 if sent.fresh else 200)

    @router.get("/api/events")
    async def page(
        who: Annotated[Principal, views],
        type_: Annotated[str | None, Query(alias="type", max_length=100)] = None,
        state: EventState | None = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        before: Annotated[str | None, Query(max_length=200)] = None,
    ) -> dict[str, Any]:
        """List events, newest first; *before* is the id of the last one of the page before."""
        home = _home(who)
        last = None if before is None else await records.get(home, before)
        if before is not None and last is None:
            raise Refused(404, "not-found", "there is no such event")
        wanted = EventFilter(
            organization_id=home,
            type=type_,
            state=state,
            before=None if last is None else (last.created_at, last.id),
            limit=limit,
        )
        return {"events": [event_document(one) for one in await records.page(wanted)]}

    @router.get("/api/events/{id_}")
    async def show(id_: str, who: Annotated[Principal, views]) -> dict[str, Any]:
        """Show an event and what it started."""
        found = await records.get(_home(who), id_)
        if found is None:
            raise Refused(404, "not-found", "there is no such event")
        started = await events.started(found.organization_id, id_)
        return {
            **event_document(found, data=who.may(Action.EXECUTIONS_DATA)),
            "started": [started_document(one) for one in started],
        }

    return router


def _home(who: Principal) -> str:
    assert who.organization_id is not None  # tokens are bound to one
    return who.organization_id
