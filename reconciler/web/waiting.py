"""Callers that wait for the result (`?wait=10s`): the output, or what the workflow responds.

A call that was accepted is answered with 200 or 202 however its run ends: an error status
would make senders send it again. Not here: accepting it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

from starlette.types import Send

from reconciler.errors import ReconcilerError
from reconciler.log import REDACTOR
from reconciler.store.executions import Execution, Executions
from reconciler.store.replies import Replies, Reply
from reconciler.trigger.execution import TERMINAL, Accepted
from reconciler.web.answers import send_json

_MOST: Final = 500  # who wait at the same time; others get their 202 at once
# What belongs to one connection, or could act on our own address in a browser.
_NOT_PASSED_ON: Final = frozenset({
    "connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "trailer", "te",
    "proxy-authenticate", "proxy-authorization", "set-cookie", "content-encoding", "date",
    "server", "strict-transport-security", "alt-svc", "clear-site-data", "service-worker-allowed",
})  # fmt: skip


class Waiting:
    """Answers callers when their execution has ended, or their time is over."""

    def __init__(self, executions: Executions, replies: Replies) -> None:
        self._executions = executions
        self._replies = replies
        self._number = 0

    async def answer(
        self, send: Send, accepted: Accepted, seconds: float, stopping: asyncio.Event | None
    ) -> None:
        """Wait up to *seconds*, or until we stop, and tell what there is to tell."""
        assert accepted.id is not None
        body: dict[str, Any] = {
            "executionId": accepted.id,
            "status": None if accepted.status is None else accepted.status.value,
        }
        if not accepted.fresh:
            body["duplicate"] = True
        found, reply = None, None
        try:
            found = await self._wait(accepted.id, seconds, stopping)
            if found is not None and found.summary.status in TERMINAL:
                reply = await self._replies.get(accepted.id)
        except ReconcilerError:
            pass  # it was accepted, and that is what we can say
        if reply is not None:
            await _pass_on(send, accepted.id, reply)
            return
        if found is not None:
            body["status"] = found.summary.status.value
        if found is None or found.summary.status not in TERMINAL:
            await send_json(send, 202 if accepted.fresh else 200, body)
            return
        body["output"] = found.output
        if found.output_truncated:
            body["outputTruncated"] = True
        if found.summary.error_message is not None:
            body["error"] = REDACTOR.text(found.summary.error_message)
        await send_json(send, 200, body)

    async def _wait(
        self, id_: str, seconds: float, stopping: asyncio.Event | None
    ) -> Execution | None:
        if self._number >= _MOST or (stopping is not None and stopping.is_set()):
            return None
        self._number += 1
        work = asyncio.create_task(self._executions.wait_result(id_, seconds))
        stop = asyncio.create_task((stopping or asyncio.Event()).wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            self._number -= 1
            for task in (work, stop):
                task.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)


async def _pass_on(send: Send, execution_id: str, reply: Reply) -> None:
    status = reply.status if 200 <= reply.status <= 599 else 502
    headers = [*_headers(reply.headers), (b"x-execution-id", execution_id.encode())]
    empty = status in {204, 304}
    content = b"" if empty else reply.content
    if not empty:
        headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _headers(given: Mapping[str, str]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in given.items():
        key = name.lower()
        sane = key.replace("-", "").isalnum() and key.isascii() and value.isprintable()
        if sane and key not in _NOT_PASSED_ON and not key.startswith("access-control-"):
            yield key.encode(), value.encode("latin-1", "replace")
    yield b"x-content-type-options", b"nosniff"
    yield b"content-security-policy", b"sandbox"
