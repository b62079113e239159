"""Events over HTTP: send one, look at what became of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from reconciler import metrics
from reconciler.access import Action, Principal
from reconciler.errors import ConflictError
from reconciler.store.event_records import EventFilter, EventRecords
from reconciler.store.events import EventIdTaken, Events, NewEvent
from reconciler.store.execution_documents import event_document, started_document
from reconciler.web.answers import Document, Refused
from reconciler.web.api_executions import busy
from reconciler.web.auth import Needs
from reconciler.web.bodies import EventBody, EventsQuery, body_of, schema_of

Sends = Annotated[Principal, Depends(Needs(Action.EVENTS_SEND))]
Views = Annotated[Principal, Depends(Needs(Action.EVENTS_VIEW))]


class EventRoutes:
    """The routes below /api/events; *poke* tells workers that there is work."""

    def __init__(
        self,
        events: Events,
        records: EventRecords,
        *,
        new_id: Callable[[], str],
        poke: Callable[[], None],
    ) -> None:
        self._events = events
        self._records = records
        self._new_id = new_id
        self._poke = poke

    def router(self) -> APIRouter:
        """Give the routes."""
        router = APIRouter()
        router.add_api_route(
            "/api/events",
            self.send,
            methods=["POST"],
            status_code=202,
            openapi_extra=schema_of(EventBody),
        )
        router.add_api_route("/api/events", self.page)
        router.add_api_route("/api/events/{id_}", self.show, response_model=dict[str, Any])
        return router

    async def send(
        self, who: Sends, body: Annotated[EventBody, Depends(body_of(EventBody))]
    ) -> JSONResponse:
        """Send an event: it is stored and starts what hears it, before this is answered."""
        new = NewEvent(
            organization_id=_home(who),
            id=body.id or self._new_id(),
            type=body.type,
            data=body.data,
            sent_by=who.name,
        )
        try:
            sent = await self._events.send(new)
        except ValueError as error:
            raise Refused(422, "invalid", str(error)) from None
        except EventIdTaken as error:
            raise Refused(409, "conflict", error.message) from None
        except ConflictError:
            raise busy() from None
        metrics.EVENTS.labels("accepted" if sent.fresh else "known").inc()
        if sent.fresh:
            self._poke()
        document: dict[str, Any] = {
            "eventId": sent.id,
            "duplicate": not sent.fresh,
            "waiting": sent.waiting,
            "error": sent.error,
            "executions": [started_document(one) for one in sent.executions],
        }
        return JSONResponse(document, 202 if sent.fresh else 200)

    async def page(self, who: Views, query: Annotated[EventsQuery, Query()]) -> dict[str, Any]:
        """List events, newest first; *before* is the id of the last one of the page before."""
        home = _home(who)
        last = None if query.before is None else await self._records.get(home, query.before)
        if query.before is not None and last is None:
            raise Refused(404, "not-found", "there is no such event")
        wanted = EventFilter(
            organization_id=home,
            type=query.type,
            state=query.state,
            before=None if last is None else (last.created_at, last.id),
            limit=query.limit,
        )
        return {"events": [event_document(one) for one in await self._records.page(wanted)]}

    async def show(self, id_: str, who: Views) -> Document:
        """Show an event and what it started."""
        found = await self._records.get(_home(who), id_)
        if found is None:
            raise Refused(404, "not-found", "there is no such event")
        started = await self._events.started(found.organization_id, id_)
        document = event_document(found, data=who.may(Action.EXECUTIONS_DATA))
        return Document({**document, "started": [started_document(one) for one in started]})


def _home(who: Principal) -> str:
    assert who.organization_id is not None  # tokens are bound to one
    return who.organization_id
