"""Running an automation over HTTP, with the same limits as its webhooks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from reconciler import metrics
from reconciler.access import Action, Principal
from reconciler.errors import ConflictError
from reconciler.resource.payload import Json, Value
from reconciler.store.calls import Calls
from reconciler.store.directory import NOT_STARTABLE, Directory
from reconciler.trigger.execution import Accepted, NewExecution
from reconciler.trigger.manual import UnknownTrigger, Way, way_of_call
from reconciler.trigger.match import FilterFailed
from reconciler.web.answers import Refused
from reconciler.web.api_executions import busy, find_automation, require_accepted
from reconciler.web.auth import Needs
from reconciler.web.bodies import RunBody, RunCall, run_call, schema_of
from reconciler.web.waiting import Waiting

Runs = Annotated[Principal, Depends(Needs(Action.AUTOMATIONS_RUN))]
Call = Annotated[RunCall, Depends(run_call)]


class RunRoutes:
    """The routes below /api/automations; *poke* tells workers that there is work."""

    def __init__(
        self,
        directory: Directory,
        calls: Calls,
        waiting: Waiting,
        poke: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._calls = calls
        self._waiting = waiting
        self._poke = poke

    def router(self) -> APIRouter:
        """Give the routes."""
        router = APIRouter()
        described = schema_of(RunBody, required=False)
        for path, run in (("{name}", self.run), ("{organization}/{name}", self.run_by_full_name)):
            router.add_api_route(
                f"/api/automations/{path}/run",
                run,
                methods=["POST"],
                status_code=202,
                response_class=JSONResponse,
                openapi_extra=described,
            )
        return router

    async def run(self, name: str, who: Runs, call: Call) -> Response:
        """Run an automation, named by id or name; `?wait=10s` waits for the result."""
        automation = await find_automation(self._directory, name, who)
        if not automation.startable:
            message = f"it can't be started from outside: {NOT_STARTABLE}"
            raise Refused(409, "not-startable", message)
        way = await _way(self._directory, automation.id, call.body)
        if way is None:
            return JSONResponse({"executionId": None, "status": "IGNORED"})
        new = NewExecution(
            automation_id=automation.id,
            cause=way.cause,
            trigger_data=cast("Value", call.body.input),
            trigger_id=way.trigger_id,
            idempotency_key=None if call.key is None else f"api:{call.key}",
            metadata={"by": who.name},
        )
        accepted = await self._accept(new)
        if accepted.fresh:
            metrics.API_RUNS.inc()
            self._poke()
        if call.wait:
            return _Later(self._waiting, accepted, call.wait)
        return JSONResponse(_document(accepted), 202 if accepted.fresh else 200)

    async def run_by_full_name(
        self, organization: str, name: str, who: Runs, call: Call
    ) -> Response:
        """Run an automation, named by organization and name."""
        return await self.run(f"{organization}/{name}", who, call)

    async def _accept(self, new: NewExecution) -> Accepted:
        limit, period = await self._directory.rate(new.automation_id)
        try:
            called = await self._calls.accept(new, limit, period)
        except ConflictError:
            raise busy() from None
        if called.accepted is None:
            after = {"Retry-After": str(max(1, math.ceil(called.retry_after)))}
            raise Refused(429, "rate-limited", "too many calls in a short time", after)
        require_accepted(called.accepted)
        if not called.repeated:
            message = f"the key was used for another input or trigger: {called.accepted.id}"
            raise Refused(409, "key-reused", message)
        return called.accepted


async def _way(directory: Directory, automation: str, body: RunBody) -> Way | None:
    try:
        return way_of_call(
            await directory.triggers(automation), body.trigger, cast("Json", body.input)
        )
    except UnknownTrigger as error:
        raise Refused(404, "not-found", str(error)) from None
    except FilterFailed as error:
        raise Refused(422, "filter-failed", str(error)) from None


def _document(accepted: Accepted) -> dict[str, Any]:
    status = None if accepted.status is None else accepted.status.value
    document: dict[str, Any] = {"executionId": accepted.id, "status": status}
    return document if accepted.fresh else {**document, "duplicate": True}


class _Later(Response):
    """An answer that is given when the execution has ended, or the caller's time is over."""

    def __init__(self, waiting: Waiting, accepted: Accepted, seconds: float) -> None:
        super().__init__()
        self._waiting = waiting
        self._accepted = accepted
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then answer."""
        del receive
        stopping = scope.get("state", {}).get("stopping")
        await self._waiting.answer(send, self._accepted, self._seconds, stopping)
