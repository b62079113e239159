"""An HTTP proxy on the loopback that answers some requests itself, as a server in trouble does.

Everything else goes to the real server behind it. Not here: broken connections (`tcp_proxy`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

import httpx

Answer: TypeAlias = tuple[int, dict[str, str], bytes]
_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "date"}


@dataclass(slots=True)
class Trouble:
    """What the proxy answers itself: *answer* gives None for what goes on to the server."""

    answer: Callable[[str, str], Answer | None] = lambda _method, _path: None
    given: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, method: str, path: str) -> Answer | None:
        with self.lock:
            found = self.answer(method, path)
            self.given += found is not None
            return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        found = self.server.trouble.ask(self.command, self.path)
        if found is None:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
            answer = self.server.client.request(
                self.command, self.path, headers=headers, content=body
            )
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
            found = answer.status_code, kept, answer.content
        status, fields, content = found
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Keep quiet."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, trouble: Trouble) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.trouble = trouble
        self.client = httpx.Client(
            base_url=upstream,
            timeout=60,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=3.0),
        )

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


@contextmanager
def troubled(upstream: str) -> Iterator[Trouble]:
    """Stand before the server at *upstream*; the yielded trouble has our address in `url`."""
    trouble = Trouble()
    server = _Server(upstream, trouble)
    trouble.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield trouble
    finally:
        server.shutdown()
        server.server_close()
        server.client.close()
        thread.join(5)
