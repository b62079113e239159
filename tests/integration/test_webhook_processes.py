"""Webhooks over several processes, and processes that are killed in the middle of a call."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from reconciler.store.database import Database
from reconciler.trigger.signature import Auth, Live, sign
from reconciler.web.webhooks import PREFIX
from tests.doubles.tcp_proxy import Plan, Proxy, Strike
from tests.hooks_rig import JSON, SECRET, hook
from tests.integration.tenants import Tenants, tenants_of

BODY = b'{"n": 1}'
PATH = PREFIX + "acme-intake"


@pytest.fixture
def world(upgraded_url: str) -> Iterator[Tenants]:
    """An automation that takes a hundred calls an hour."""
    with tenants_of(upgraded_url) as tenants:
        tenants.organization("acme")
        tenants.automation("acme", "intake")
        tenants.sql(
            "INSERT INTO reconciler.automation_runtime (automation_id, rate_limit, "
            "rate_period_seconds) VALUES ('acme-intake', 100, 3600)"
        )
        yield tenants


def signed(id_: str) -> dict[str, str]:
    auth = Auth(scheme="standard-webhooks", secrets=(Live(value=SECRET),))
    return {**JSON, **sign(auth, BODY, id_=id_, now=datetime.now(UTC))}


def request(id_: str) -> bytes:
    """Write a call as bytes: a client library would take more time than the servers."""
    headers = {**signed(id_), "host": "localhost", "content-length": str(len(BODY))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + BODY


@asynccontextmanager
async def process(url: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start a server that uses the database at *url*; give the process and its address."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.hook_server", url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )  # fmt: skip
    assert running.stdout is not None
    try:
        yield running, (await running.stdout.readline()).decode().strip()
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()
        # A transport that is collected later would warn; there is no public way to close it.
        running._transport.close()  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_four_thousand_calls_over_four_processes_are_a_hundred_executions(
    upgraded_url: str, database: Database, world: Tenants
) -> None:
    await hook(database, world)
    told: dict[str, set[str]] = {}
    codes: Counter[int] = Counter()
    began = time.perf_counter()
    async with (
        process(upgraded_url) as (_, one),
        process(upgraded_url) as (_, two),
        process(upgraded_url) as (_, three),
        process(upgraded_url) as (_, four),
    ):

        async def send(number: int) -> None:
            """Send each of a hundred ids, shared with nine other senders, to one process."""
            port = int((one, two, three, four)[number % 4].rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for turn in range(100):
                id_ = f"call-{(turn * 7 + number // 4) % 100 + number // 10 * 100}"
                writer.write(request(id_))
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
                content = await reader.readexactly(length)
                status = int(head.split()[1])
                codes[status] += 1
                if status < 400:
                    told.setdefault(id_, set()).add(json.loads(content)["executionId"])
            writer.close()

        await asyncio.gather(*(send(number) for number in range(40)))
    print(f"4000 calls in {time.perf_counter() - began:.1f} s: {dict(codes)}")
    assert sum(codes.values()) == 4000
    assert codes[202] == 100
    assert set(codes) == {200, 202, 429}
    rows = world.sql('SELECT id, "idempotencyKey" FROM workflow_executions')
    assert len(rows) == 100
    # Whoever was told an execution for an id was told the same one, and it is there.
    assert {key.rpartition(":")[2]: {id_} for id_, key in rows} == told
    assert world.value('SELECT "triggerCount" FROM workflow_triggers') == 100
    counted = "SELECT sum(n) FROM reconciler.webhook_rates, unnest(counts) AS n"
    assert world.value(counted) == 100


@pytest.mark.slow
@pytest.mark.parametrize("strike", [Strike.KILL_BEFORE, Strike.KILL_AFTER])
async def test_a14_a15_a_server_that_is_killed_at_any_send_loses_and_doubles_nothing(
    upgraded_url: str, database: Database, world: Tenants, strike: Strike
) -> None:
    await hook(database, world)
    proxy, through = before(upgraded_url)
    killed, known = 0, 0
    try:
        async with process(upgraded_url) as (_, steady):
            for point in range(1, 40):
                async with process(through) as (server, url):
                    plan = Plan(at=point, strike=strike, pid=server.pid)
                    proxy.arm(plan)
                    first = await attempt(url, f"call-{point}")
                    proxy.disarm()
                again = await attempt(steady, f"call-{point}")  # what a sender does
                assert again is not None
                known += again[0] == 200
                if first is not None:
                    assert first[1] == again[1]
                rows = world.value(
                    'SELECT count(*) FROM workflow_executions WHERE "idempotencyKey" LIKE %s',
                    f"%:call-{point}",
                )
                assert rows == 1, point
                if not plan.struck.is_set():
                    break
                killed += 1
    finally:
        proxy.close()
    assert killed >= 3  # the statement that takes the call in was among them
    assert known >= 1
    assert world.value("SELECT count(*) FROM workflow_executions") == killed + 1


def before(url: str) -> tuple[Proxy, str]:
    """Put a proxy before the database; give it, and the address that leads through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    place = parts.netloc.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{proxy.port}")
    return proxy, urlunsplit(parts._replace(netloc=place))


async def attempt(url: str, id_: str) -> tuple[int, str] | None:
    """Call as a sender; None: the connection broke before an answer came."""
    try:
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            answer = await client.post(PATH, content=BODY, headers=signed(id_))
    except httpx.TransportError:
        return None
    assert answer.status_code in {200, 202}, answer.text
    return answer.status_code, json.loads(answer.content)["executionId"]


async def test_a_database_that_is_away_is_said_and_nothing_is_acknowledged(
    upgraded_url: str, database: Database, world: Tenants
) -> None:
    await hook(database, world)
    proxy, through = before(upgraded_url)
    async with (
        process(through) as (_, url),
        httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        assert (await client.post(PATH, content=BODY, headers=signed("a"))).status_code == 202
        proxy.close()
        answer = await client.post(PATH, content=BODY, headers=signed("b"))
        assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
        assert answer.json()["error"]["code"] == "unavailable"
    assert world.value("SELECT count(*) FROM workflow_executions") == 1
