"""Executions over HTTP: ask for one, look at them, cancel, retry."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from reconciler.access import Action, Principal
from reconciler.log import REDACTOR
from reconciler.store.directory import AutomationEntry, Directory
from reconciler.store.execution_documents import execution_document, summary_document
from reconciler.store.executions import Cancelled, Executions, Filters
from reconciler.trigger.execution import Accepted, Refusal
from reconciler.web.answers import RETRY_AFTER, Document, Refused
from reconciler.web.auth import Needs
from reconciler.web.bodies import ExecutionsQuery, moment

_NOT_FOUND = ("not-found", "there is no such execution")


Views = Annotated[Principal, Depends(Needs(Action.EXECUTIONS_VIEW))]
Cancels = Annotated[Principal, Depends(Needs(Action.EXECUTIONS_CANCEL))]
Retries = Annotated[Principal, Depends(Needs(Action.EXECUTIONS_RETRY))]


class ExecutionRoutes:
    """The routes below /api/executions."""

    def __init__(self, executions: Executions, directory: Directory) -> None:
        self._executions = executions
        self._directory = directory

    def router(self) -> APIRouter:
        """Give the routes."""
        router = APIRouter()
        one = "/api/executions/{id_}"
        router.add_api_route("/api/executions", self.page)
        router.add_api_route(one, self.show, response_model=dict[str, Any])
        router.add_api_route(f"{one}/cancel", self.cancel, methods=["POST"])
        router.add_api_route(f"{one}/retry", self.retry, methods=["POST"], status_code=202)
        return router

    async def page(self, who: Views, query: Annotated[ExecutionsQuery, Query()]) -> dict[str, Any]:
        """List executions, newest first; `next` is the cursor of the page after this one."""
        name = query.automation
        filters = Filters(
            organization_id=who.organization_id,
            automation_id=None
            if name is None
            else (await find_automation(self._directory, name, who)).id,
            statuses=query.status,
            causes=query.cause,
            since=moment(query.since, "since"),
            until=moment(query.until, "until"),
        )
        found = await self._executions.list(filters, limit=query.limit, cursor=query.cursor)
        data = who.may(Action.EXECUTIONS_DATA)
        rows = [summary_document(one, data=data) for one in found.executions]
        return {"executions": _redacted(rows), "next": found.cursor}

    async def show(self, id_: str, who: Views) -> Document:
        """Show an execution; data and errors only to those who may see data."""
        found = await self._executions.get(who.organization_id, id_)
        if found is None:
            raise Refused(404, *_NOT_FOUND)
        document = execution_document(found, data=who.may(Action.EXECUTIONS_DATA))
        return Document(_redacted([document])[0])

    async def cancel(self, id_: str, who: Cancels) -> JSONResponse:
        """Cancel an execution: at once while it waits, soon while it runs (202)."""
        match await self._executions.cancel(who.organization_id, id_):
            case Cancelled.UNKNOWN:
                raise Refused(404, *_NOT_FOUND)
            case Cancelled.ENDED:
                raise Refused(409, "ended", "it has ended already")
            case Cancelled.ASKED:
                return JSONResponse({"executionId": id_, "status": "RUNNING"}, 202)
            case _:
                return JSONResponse({"executionId": id_, "status": "CANCELLED"})

    async def retry(self, id_: str, who: Retries) -> dict[str, Any]:
        """Run it again as a new execution with the same input."""
        accepted = await self._executions.retry(who.organization_id, id_)
        if accepted.refusal is Refusal.UNKNOWN:
            raise Refused(404, *_NOT_FOUND)
        require_accepted(accepted)
        return {"executionId": accepted.id, "status": "QUEUED", "retryOf": id_}


async def find_automation(directory: Directory, name: str, who: Principal) -> AutomationEntry:
    """Find the automation that a caller names; raises Refused (404)."""
    found = await directory.automations(name, who.organization_id)
    if len(found) != 1:
        raise Refused(404, "not-found", "there is no such automation")
    return found[0]


def require_accepted(accepted: Accepted) -> None:
    """Raise Refused for a run that did not become a row."""
    match accepted.refusal:
        case None:
            return
        case Refusal.FULL:
            wait = {"Retry-After": str(RETRY_AFTER)}
            raise Refused(429, "queue-full", "too many executions wait already", wait)
        case Refusal.INACTIVE:
            raise Refused(409, "inactive", "the automation or its trigger is switched off")
        case Refusal.UNSTORABLE:
            raise Refused(400, "bad-body", "the input holds what can't be stored")
        case _:
            raise Refused(404, "not-found", "there is no such automation")


def busy() -> Refused:
    """Give the answer to a call that others were in the way of; nothing was written."""
    wait = {"Retry-After": str(RETRY_AFTER)}
    return Refused(503, "busy", "too much happens at once: try again", wait)


def _redacted(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take secrets that we know out of what workflows said when they failed."""
    for document in documents:
        for word in ("errorMessage", "errorStack"):
            if isinstance(document.get(word), str):
                document[word] = REDACTOR.text(document[word])
        for attempt in document.get("attempts", ()):
            if isinstance(attempt.get("error"), str):
                attempt["error"] = REDACTOR.text(attempt["error"])
    return documents
