"""Webhook calls: who may call, what is passed on, and what the caller is told.

Body cap (before us), route, signature, known id, rate, queue, row, commit, 202: in this order.
A plain ASGI application, because it is the path that is called most. Not here: the transaction
(`reconciler.store.deliveries`), the check of a signature (`reconciler.trigger.signature`).
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlencode

from starlette.types import Receive, Scope, Send

from reconciler import metrics
from reconciler.errors import ConfigError, ReconcilerError
from reconciler.log import get_logger
from reconciler.resource.payload import Object
from reconciler.spec.quantity import parse_duration
from reconciler.store.aside import Aside
from reconciler.store.deliveries import Delivered, Deliveries, Delivery, Rejection
from reconciler.store.webhooks import Route, Webhooks
from reconciler.trigger.execution import Accepted, Cause, NewExecution, Refusal
from reconciler.trigger.match import FilterFailed, filter_of
from reconciler.trigger.signature import Call, Verdict, secret_headers, verify
from reconciler.trigger.webhook_item import BadBody, webhook_item
from reconciler.web.answers import RETRY_AFTER, Refused, send_json, send_refused
from reconciler.web.grouped import Grouped
from reconciler.web.rejections import Rejections
from reconciler.web.routes import Routes
from reconciler.web.secrets import HookSecrets, methods_of
from reconciler.web.waiting import Waiting

PREFIX: Final = "/api/webhooks/automation/"
MAX_WAIT: Final = 60.0  # seconds
_PATH: Final = re.compile(r"([A-Za-z0-9_-]{1,64})(?:/([a-z0-9][a-z0-9-]{0,62}))?")
_LOG: Final = get_logger("webhooks")
_NEW: Final = metrics.WEBHOOKS.labels("accepted", "new")
_KNOWN: Final = metrics.WEBHOOKS.labels("accepted", "known")
_FILTERED: Final = metrics.WEBHOOKS.labels("accepted", "filtered")
_NOT_FOUND: Final = ("not-found", "there is no such webhook")


class Notifier(Protocol):
    """Tells workers that there is something to do."""

    def poke(self) -> None:
        """Tell them soon."""
        raise NotImplementedError


class WebhookApp:
    """Answers everything below `/api/webhooks/automation/`."""

    def __init__(
        self,
        webhooks: Webhooks,
        deliveries: Deliveries,
        secrets: HookSecrets,
        notifier: Notifier,
        waiting: Waiting,
    ) -> None:
        self._secrets = secrets
        self._notifier = notifier
        self._waiting = waiting
        self._routes = Routes(webhooks)
        self._accept = Grouped[Delivery, Delivered](
            Aside(deliveries.accept), size=lambda call: call.bytes
        )
        self.rejections = Rejections(deliveries)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        began = time.perf_counter()
        message = await receive()
        if message["type"] != "http.request":
            return
        try:
            request = _Request(scope, message.get("body", b""))
            delivered = await self._deliver(request)
        except Refused as why:
            metrics.WEBHOOKS.labels("rejected", why.code).inc()
            await send_refused(send, why)
            return
        except ReconcilerError as error:
            metrics.WEBHOOKS.labels("rejected", "unavailable").inc()
            _LOG.error("webhook_failed", error=str(error))
            await send_refused(send, _unavailable(RETRY_AFTER))
            return
        metrics.WEBHOOK.observe(time.perf_counter() - began)
        await self._answer(request, delivered, send)

    async def _deliver(self, request: _Request) -> Accepted | None:
        """Take one call in; None: its trigger's filters let it not through. Raises Refused."""
        path = _PATH.fullmatch(request.path)
        route = None if path is None else await self._routes.find(path[1], path[2])
        if route is None:
            raise Refused(404, *_NOT_FOUND)
        methods = methods_of(route.auth)
        if request.method not in methods:
            self._note(request, route, "wrong-method")
            allow = {"Allow": ", ".join(methods)}
            raise Refused(405, "wrong-method", "this webhook takes other methods", allow)
        verdict = await self._verify(request, route)
        try:
            item = webhook_item(
                request.headers,
                request.query,
                request.body,
                url=route.url,
                secret_headers=self._proofs(route),
            )
        except BadBody as error:
            self._note(request, route, "bad-body")
            raise Refused(400, "bad-body", str(error)) from None
        if not self._fits(request, route, item):
            return None
        return await self._take_in(request, route, verdict, item)

    async def _verify(self, request: _Request, route: Route) -> Verdict:
        """Let the caller in, or raise Refused without telling why."""
        try:
            auth = await self._secrets.auth(route)
        except ConfigError as error:
            _LOG.error("webhook_secret_unreadable", trigger=route.trigger_id, error=str(error))
            self._note(request, route, "secret-unreadable")
            raise _unavailable(60) from None
        now = datetime.fromtimestamp(self._routes.clock(route), UTC)
        verdict = (
            Verdict(problem="no-auth")
            if auth is None
            else verify(auth, Call(headers=request.headers, body=request.body), now)
        )
        if verdict.problem is None:
            return verdict
        self._note(request, route, verdict.problem)
        if verdict.malformed:
            raise Refused(400, "bad-id", "the id of the call has a form that is not taken")
        raise Refused(401, "unauthorized", "the signature is missing, too old or wrong")

    def _proofs(self, route: Route) -> frozenset[bytes]:
        header = route.auth.get("header") if isinstance(route.auth, dict) else None
        return secret_headers(header if isinstance(header, str) else None)

    def _fits(self, request: _Request, route: Route, item: Object) -> bool:
        if route.filters is None:
            return True
        try:
            fits = filter_of(route.filters)(item["body"])
        except FilterFailed as error:
            self._note(request, route, "filter-failed")
            raise Refused(422, "filter-failed", str(error)) from None
        if not fits:
            self._note(request, route, "filtered")
        return fits

    async def _take_in(
        self, request: _Request, route: Route, verdict: Verdict, item: Object
    ) -> Accepted:
        key = None if verdict.id is None else f"hook:{route.trigger_id}:{verdict.id}"
        delivered = await self._accept(
            Delivery(
                new=NewExecution(
                    automation_id=route.automation_id,
                    cause=Cause.WEBHOOK,
                    trigger_data=item,  # type: ignore[arg-type]
                    trigger_id=route.trigger_id,
                    idempotency_key=key,
                    method=request.method,
                ),
                organization_id=route.organization_id,
                limit=route.limit,
                period=route.period,
                remote=request.remote,
                bytes=len(request.body),
                bounded=route.bounded,
            )
        )
        if delivered.error is not None:
            raise delivered.error
        accepted = delivered.accepted
        if accepted is None:
            self._note(request, route, "rate-limited")
            wait = {"Retry-After": str(max(1, math.ceil(delivered.retry_after)))}
            raise Refused(429, "rate-limited", "too many calls in a short time", wait)
        if accepted.refusal is not None:
            raise self._refusal(request, route, accepted.refusal)
        if accepted.fresh:
            self._notifier.poke()
        else:
            self._note(request, route, "duplicate", accepted.id)
        return accepted

    def _refusal(self, request: _Request, route: Route, refusal: Refusal) -> Refused:
        if refusal in {Refusal.UNKNOWN, Refusal.INACTIVE}:  # since the route was read
            self._routes.forget(route.automation_id)
            return Refused(404, *_NOT_FOUND)
        self._note(request, route, refusal.value)
        if refusal is Refusal.FULL:
            wait = {"Retry-After": str(RETRY_AFTER)}
            return Refused(429, "queue-full", "too many executions wait already", wait)
        return Refused(400, "bad-body", "the body holds what can't be stored")

    async def _answer(self, request: _Request, accepted: Accepted | None, send: Send) -> None:
        if accepted is None or accepted.id is None:
            _FILTERED.inc()
            await send_json(send, 200, {"executionId": None, "status": "IGNORED"})
            return
        (_NEW if accepted.fresh else _KNOWN).inc()
        if request.wait > 0:
            await self._waiting.answer(send, accepted, request.wait, request.stopping)
            return
        await send_json(send, 202 if accepted.fresh else 200, accepted_body(accepted))

    def _note(self, request: _Request, route: Route, reason: str, id_: str | None = None) -> None:
        self.rejections.note(
            Rejection(
                organization_id=route.organization_id,
                automation_id=route.automation_id,
                trigger_id=route.trigger_id,
                reason=reason,
                remote=request.remote,
                bytes=len(request.body),
                execution_id=id_,
            )
        )


def _unavailable(seconds: int) -> Refused:
    """Refuse for now: nothing was taken in that we could vouch for."""
    return Refused(503, "unavailable", "try again later", {"Retry-After": str(seconds)})


def accepted_body(accepted: Accepted) -> dict[str, Any]:
    """Tell which execution a call became, and whether it had become one before."""
    status = None if accepted.status is None else accepted.status.value
    body: dict[str, Any] = {"executionId": accepted.id, "status": status}
    return body if accepted.fresh else {**body, "duplicate": True}


class _Request:
    """A call as it came; raises Refused for a `wait` that is none."""

    __slots__ = ("body", "headers", "method", "path", "query", "remote", "stopping", "wait")

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.body = body
        self.headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self.method: str = scope["method"]
        self.path: str = scope["path"].removeprefix(PREFIX)
        client = scope.get("client")
        self.remote: str | None = client[0] if client else None
        self.stopping: asyncio.Event | None = scope.get("state", {}).get("stopping")
        self.query, self.wait = _without_wait(scope["query_string"])


def _without_wait(query: bytes) -> tuple[bytes, float]:
    """Take our own parameter out of the query."""
    if b"wait" not in query:
        return query, 0.0
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=1000)
        waits = [value for name, value in pairs if name == "wait"]
        seconds = parse_duration(waits[-1]).total_seconds() if waits else 0.0
    except ValueError:
        raise Refused(400, "bad-wait", "wait is a duration such as 10s") from None
    rest = urlencode([pair for pair in pairs if pair[0] != "wait"])
    return rest.encode(), min(seconds, MAX_WAIT)
