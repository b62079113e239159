"""Two proxies, before PostgreSQL and before n8n, that count what a command sends as one series."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tests.doubles.tcp_proxy import Plan, Proxy


@dataclass(slots=True)
class Counter:
    """Counts sends from 1 over several proxies; strikes where *plan* says."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    to: list[str] = field(default_factory=list)  # which server each send went to
    plan: Plan | None = None

    def arm(self, plan: Plan | None) -> None:
        """Count from now on."""
        with self.lock:
            self.to = []
            self.plan = plan

    def hit(self, server: str) -> Plan | None:
        with self.lock:
            self.to.append(server)
            return self.plan if self.plan is not None and self.plan.at == len(self.to) else None


class _Counted(Proxy):
    def __init__(self, server: str, counter: Counter, host: str, port: int) -> None:
        self._server, self._counter = server, counter
        super().__init__(host, port)

    def _hit(self) -> Plan | None:
        return self._counter.hit(self._server)


@dataclass(frozen=True, slots=True)
class Tandem:
    """The counter and the two addresses that lead through it."""

    counter: Counter
    postgres: Proxy
    n8n: Proxy

    def database_url(self, url: str) -> str:
        """Lead the address of a database through the proxy."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.postgres.port}"))


@contextmanager
def tandem(database_url: str, n8n_url: str) -> Iterator[Tandem]:
    """Put proxies before both servers."""
    counter = Counter()
    database, n8n = urlsplit(database_url), urlsplit(n8n_url)
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(closing(_Counted(name, counter, "127.0.0.1", parts.port or 0)))
            for name, parts in (("PostgreSQL", database), ("n8n", n8n))
        ]
        yield Tandem(counter, *proxies)
