"""Ways to reach a `FakeN8n`: in process without HTTP, through httpx, and over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import httpx

from reconciler.errors import N8nUnreachable
from reconciler.n8n import answers, paging
from reconciler.n8n.answers import Answer, Call
from reconciler.resource.api import Query
from reconciler.resource.payload import Object
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Broken, Trouble

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


class FakeApi:
    """The `Api` port straight onto a fake: no HTTP, no retries, no waiting; for many thousand calls."""

    def __init__(self, fake: FakeN8n) -> None:
        self.fake = fake

    async def get(self, path: str, **query: Query) -> Object:
        return self._call("GET", path, None, query)

    async def post(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        return self._call("POST", path, body, query)

    async def put(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        return self._call("PUT", path, body, query)

    async def patch(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        return self._call("PATCH", path, body, query)

    async def delete(
        self, path: str, body: Object | None = None, *, idempotent: bool = False, **query: Query
    ) -> Object:
        return self._call("DELETE", path, body, query)

    def pages(self, path: str, **query: Query) -> AsyncIterator[Object]:
        async def fetch(cursor: str | None) -> Object:
            if cursor is None:
                return await self.get(path, limit=paging.LIMIT, **query)
            return await self.get(path, cursor=cursor, **query)

        return paging.rows(fetch)

    async def probe(self, path: str) -> int:
        call = Call(method="POST", path=f"/webhook/{path}")
        return self._answered(call, f"/webhook/{path}", None, {}).status

    def _call(self, method: str, path: str, body: Object | None, query: dict[str, Query]) -> Object:
        call = Call(method=method, path=path)
        return answers.read(call, self._answered(call, f"/api/v1{path}", body, query), _NOW)

    def _answered(
        self, call: Call, path: str, body: Object | None, query: dict[str, Query]
    ) -> Answer:
        texts = {key: str(v).lower() if isinstance(v, bool) else str(v) for key, v in query.items()}
        headers = {"content-type": "application/json"}
        if path.startswith("/api/"):
            headers["x-n8n-api-key"] = self.fake.api_key
        content = b"" if body is None else json.dumps(body).encode()
        try:
            return Answer(*self.fake.handle(call.method, path, texts, headers, content))
        except Broken as broken:
            raise N8nUnreachable(
                f"{call}: {broken}",
                outcome_unknown=not call.reads and broken.trouble is not Trouble.REFUSED,
            ) from broken


class FakeTransport(httpx.AsyncBaseTransport):
    """Lets the real client talk to a fake without a socket, faults included."""

    def __init__(self, fake: FakeN8n) -> None:
        self.fake = fake

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            status, headers, content = self.fake.handle(
                request.method,
                request.url.path,
                dict(request.url.params),
                {name.lower(): value for name, value in request.headers.items()},
                await request.aread(),
            )
        except Broken as broken:
            await _fail(request, broken.trouble)
            raise
        return httpx.Response(status, headers=headers, content=content, request=request)


async def _fail(request: httpx.Request, trouble: Trouble) -> None:
    """Fail as httpx does; a hanging server is waited for as long as the client's patience says."""
    if trouble is Trouble.REFUSED:
        raise httpx.ConnectError("Connection refused", request=request)
    if trouble is Trouble.HANG:
        patience = request.extensions.get("timeout", {}).get("read")
        await asyncio.sleep(3600 if patience is None else patience)
        raise httpx.ReadTimeout("", request=request)
    raise httpx.RemoteProtocolError(
        "Server disconnected without sending a response.", request=request
    )


class _Handler(BaseHTTPRequestHandler):
    """One request from a socket to the fake."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client died in the middle of its request
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            status, fields, content = self.server.fake.handle(
                self.command, parts.path, query, headers, body
            )
        except Broken as broken:
            self._break(broken.trouble)
            return
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _break(self, trouble: Trouble) -> None:
        self.close_connection = True
        if trouble is Trouble.HANG:
            while not self.server.closing.wait(0.05):
                pass
            return
        linger = struct.pack("ii", 1, 0)  # close with a reset instead of a polite end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815  # the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Keep quiet; the fake has its own log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fake: FakeN8n) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake
        self.closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


@contextmanager
def serve(fake: FakeN8n) -> Iterator[str]:
    """Serve *fake* on a free loopback port, to any number of processes, and yield its address."""
    server = _Server(fake)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
