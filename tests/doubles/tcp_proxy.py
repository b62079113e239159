"""A TCP proxy on the loopback that lets a test strike at the N-th thing a client sends.

Each piece of data that arrives from the client is one *send*; they are counted from 1
over all connections. On the chosen one the proxy kills a process, cuts the connection or
waits, before or after passing the data on. Knows no protocol: works for PostgreSQL and HTTP.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE = 1 << 18
_PATIENCE = 30.0


class Strike(enum.Enum):
    """What happens on the chosen send."""

    KILL_BEFORE = "kill the process before the server sees the data"
    KILL_AFTER = "kill the process when the server has answered"
    CUT_BEFORE = "break the connection before the server sees the data"
    CUT_AFTER = "break the connection when the server has answered"
    DELAY = "wait"


@dataclass(slots=True, kw_only=True)
class Plan:
    """Strike on send number *at*; *pid* is whom to kill, *seconds* how long to wait."""

    at: int
    strike: Strike
    pid: int | Callable[[], int] | None = None
    seconds: float = 1.0
    struck: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Forwards to *host*:*port*; `count` is the number of sends so far."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.count = 0
        self.plan: Plan | None = None
        self._start(self._accept)

    @property
    def url(self) -> str:
        """The proxy's address for an HTTP client."""
        return f"http://127.0.0.1:{self.port}"

    def arm(self, plan: Plan) -> None:
        """Count from now on and strike once, as *plan* says."""
        with self._lock:
            self.count = 0
            self.plan = plan

    def disarm(self) -> int:
        """Strike no more; return how many sends there were."""
        with self._lock:
            self.plan = None
            sends, self.count = self.count, 0
            return sends

    def close(self) -> None:
        """Hang up everywhere."""
        self._closing.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            if not select.select([self._listener], [], [], 0.05)[0]:
                continue
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(self._upstream, timeout=10) as server,
        ):
            for end in (client, server):
                end.settimeout(None)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._carry(client, server)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Carry data both ways until one side hangs up or a strike ends the connection."""
        while not self._closing.is_set():
            ready = select.select([client, server], [], [], 0.05)[0]
            if server in ready:
                data = server.recv(_PIECE)
                if not data:
                    return
                client.sendall(data)
            if client in ready:
                data = client.recv(_PIECE)
                if not data or not self._pass_on(data, client, server):
                    return

    def _pass_on(self, data: bytes, client: socket.socket, server: socket.socket) -> bool:
        """Send *data* to the server; False when the connection ends here."""
        plan = self._hit()
        if plan is None:
            server.sendall(data)
            return True
        if plan.strike is Strike.DELAY:
            time.sleep(plan.seconds)
            server.sendall(data)
        elif plan.strike in {Strike.KILL_AFTER, Strike.CUT_AFTER}:
            server.sendall(data)
            # An answer means that it was done. More from the client means that this piece was
            # only the beginning of a request, which then ends here.
            select.select([server, client], [], [], _PATIENCE)
        if plan.strike in {Strike.KILL_BEFORE, Strike.KILL_AFTER}:
            _kill(plan)
        plan.struck.set()
        return plan.strike is Strike.DELAY

    def _hit(self) -> Plan | None:
        with self._lock:
            self.count += 1
            plan = self.plan
            if plan is None or plan.at != self.count:
                return None
            return plan


def _kill(plan: Plan) -> None:
    pid = plan.pid() if callable(plan.pid) else plan.pid
    if pid is None:
        raise ValueError("whom to kill?")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def proxy_to(url_or_host: str, port: int | None = None) -> Iterator[Proxy]:
    """Put a proxy before ``http://host:port`` or *url_or_host* and *port*."""
    parts = urlsplit(url_or_host) if "//" in url_or_host else urlsplit(f"//{url_or_host}")
    proxy = Proxy(parts.hostname or "127.0.0.1", port or parts.port or 80)
    try:
        yield proxy
    finally:
        proxy.close()
