"""The HTTP server against clients that are slow, hostile or gone, and when it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from reconciler.errors import ConfigError
from reconciler.web.answers import send_json
from reconciler.web.app import make_app
from reconciler.web.connection import Clocks
from reconciler.web.limits import BodyLimits
from reconciler.web.server import HttpServer

HOST = b"Host: localhost\r\n"
QUICK = Clocks(header_seconds=0.5, idle_seconds=1.0)
SHORT = BodyLimits(seconds=0.8)


@dataclass(slots=True)
class Echo:
    """An application that says how many bytes came, after a pause that the path may name."""

    calls: int = 0
    names: list[bytes] = field(default_factory=list)
    paused: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        message = await receive()
        self.names = [name for name, _ in scope["headers"]]
        if "pause" in scope["path"]:
            self.paused.set()
            await asyncio.sleep(0.5)
        await send_json(send, 200, {"bytes": len(message["body"])})


@dataclass(slots=True)
class Running:
    url: str
    port: int
    echo: Echo
    stopping: asyncio.Event
    task: asyncio.Task[None]

    async def raw(self, data: bytes, *, seconds: float = 5.0) -> bytes:
        """Send bytes and read until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(seconds):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def running(
    clocks: Clocks | None = None, limits: BodyLimits | None = None
) -> AsyncIterator[Running]:
    echo, listening, stopping = Echo(), asyncio.Event(), asyncio.Event()
    app = make_app([], direct={"/": echo}, limits=limits)
    server = HttpServer(
        app, "127.0.0.1", 0, listening=lambda _: listening.set(), clocks=clocks, grace=3.0
    )
    task = asyncio.create_task(server.run(stopping))
    await listening.wait()
    yield Running(server.url, server.port, echo, stopping, task)
    stopping.set()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with running(QUICK, SHORT) as server:
        yield server


def error(answer: bytes) -> tuple[int, str]:
    """Read status and code of a refusal."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


@pytest.mark.parametrize(
    "head", [b"", b"POST", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost:"]
)
async def test_half_a_header_is_dropped_in_time(server: Running, head: bytes) -> None:
    began = time.perf_counter()
    assert await server.raw(head) == b""
    assert 0.4 < time.perf_counter() - began < 5.0


async def test_a_header_that_dribbles_in_is_dropped_in_time(server: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    began = time.perf_counter()
    for byte in b"POST / HTTP/1.1\r\n" * 3:
        if reader.at_eof():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
    assert time.perf_counter() - began < 5.0
    writer.close()


async def test_the_second_header_of_a_connection_has_its_time_too(server: Running) -> None:
    whole = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(whole)
    await reader.readuntil(b"}")
    began = time.perf_counter()
    writer.write(whole[:-4])
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert 0.4 < time.perf_counter() - began < 5.0
    writer.close()


async def test_half_a_body_is_answered_in_time(server: Running) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\nabc"
    began = time.perf_counter()
    assert error(await server.raw(head)) == (408, "too-slow")
    assert 0.7 < time.perf_counter() - began < 6.0
    assert server.echo.calls == 0


LENGTH = b"Content-Length: 3\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\n" + HOST + LENGTH + CHUNKED + b"\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + LENGTH + b"\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + LENGTH + b"Content-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1e3\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length : 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"POST / HTTP/1.1\n\n",
        b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nBad Name: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(101)) + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
    ],
)
async def test_what_two_readers_may_read_in_two_ways_is_refused(
    server: Running, request_: bytes
) -> None:
    assert error(await server.raw(request_)) == (400, "malformed")
    assert server.echo.calls == 0


@pytest.mark.parametrize("size", [33_000, 2_000_000])
async def test_a_large_header_is_refused(server: Running, size: int) -> None:
    head = b"GET / HTTP/1.1\r\n" + HOST + b"a: " + b"b" * size
    answer = await server.raw(head)
    assert answer == b"" or error(answer) == (431, "header-too-large")
    assert server.echo.calls == 0


async def test_a_long_address_is_refused(server: Running) -> None:
    answer = await server.raw(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer == b"" or error(answer)[0] in {400, 431}
    assert server.echo.calls == 0


def memory() -> int:
    """Tell how much memory this process has, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a9_a_declared_size_that_is_too_large_is_refused_before_it_comes(
    server: Running,
) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 419430400\r\n\r\n"
    assert error(await server.raw(head + b"a" * 1000)) == (413, "too-large")
    huge = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 18 + b"\r\n\r\n"
    assert error(await server.raw(huge)) == (413, "too-large")


async def test_a9_an_endless_body_is_refused_and_takes_no_memory(server: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n")
    before, chunk, sent = memory(), b"10000\r\n" + b"a" * 65_536 + b"\r\n", 0
    try:
        async with asyncio.timeout(5):
            while sent < 100_000_000:
                writer.write(chunk)
                await writer.drain()
                sent += len(chunk)
    except ConnectionError:
        pass
    assert sent < 20_000_000
    assert memory() - before < 10_000_000
    writer.close()
    assert server.echo.calls == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [b"POST / HTTP/1.1\r\nHost:", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"],
    ids=["half a header", "half a body"],
)
async def test_a10_five_hundred_that_stop_halfway_hold_up_nobody(start: bytes) -> None:
    async with running() as server:  # with the limits as they are in production
        stuck = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", server.port) for _ in range(500))
        )
        for _, writer in stuck:
            writer.write(start)
        began, slowest, served = time.perf_counter(), 0.0, 0
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            while time.perf_counter() - began < 3.0:
                once = time.perf_counter()
                assert (await client.post("/", content=b"{}")).status_code == 200
                slowest = max(slowest, time.perf_counter() - once)
                served += 1
        assert slowest < 1.0
        assert served > 30
        async with asyncio.timeout(12):
            for reader, writer in stuck:
                await reader.read()
                writer.close()
        assert time.perf_counter() - began < 12


async def test_there_is_room_for_one_more_when_all_places_are_held_by_the_idle() -> None:
    async with running(Clocks(connections=20)) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
            for _ in range(5):
                assert (await client.get("/")).status_code == 200
        for _, writer in held:
            writer.close()


async def test_what_is_in_flight_is_finished_and_nothing_new_is_taken(server: Running) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        request = asyncio.create_task(client.post("/pause", content=b"12345"))
        await server.echo.paused.wait()
        server.stopping.set()
        await asyncio.sleep(0.05)
        with pytest.raises(httpx.ConnectError):
            await client.get("/")
        assert (await request).json() == {"bytes": 5}
    async with asyncio.timeout(1):
        await server.task


async def test_an_idle_connection_does_not_hold_up_the_end(server: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    server.stopping.set()
    async with asyncio.timeout(1):
        await server.task
    writer.close()


async def test_being_cancelled_ends_at_once(server: Running) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        request = asyncio.create_task(client.post("/pause"))
        await server.echo.paused.wait()
        server.task.cancel()
        with pytest.raises(httpx.RemoteProtocolError):
            await request
    await asyncio.wait([server.task])
    assert server.task.cancelled()


async def test_a_port_that_is_taken_is_said(server: Running) -> None:
    other = HttpServer(make_app([]), "127.0.0.1", server.port)
    with pytest.raises(ConfigError, match=f"can't listen on 127.0.0.1:{server.port}"):
        await other.run(asyncio.Event())


async def test_an_unknown_path_is_answered_in_our_form() -> None:
    listening, stopping = asyncio.Event(), asyncio.Event()
    server = HttpServer(make_app([]), "127.0.0.1", 0, listening=lambda _: listening.set())
    task = asyncio.create_task(server.run(stopping))
    await listening.wait()
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answer = await client.get("/nothing")
    assert (404, "not-found") == (answer.status_code, answer.json()["error"]["code"])
    stopping.set()
    await task


@pytest.mark.parametrize("rest", [b"0\r\nX: ", b"0\r\n", b"2;"])
async def test_endless_lines_after_a_body_or_in_it_are_refused(rest: bytes) -> None:
    async with running(Clocks()) as server:
        head = b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n2\r\n{}\r\n"
        answer = await server.raw(head + rest + b"a" * 300_000)
        assert answer == b"" or error(answer) == (431, "header-too-large")
        assert server.echo.calls == 0


async def test_many_small_pieces_of_a_body_are_no_header(server: Running) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n" + CHUNKED + b"\r\n"
    answer = await server.raw(head + b"1;x=y\r\na\r\n" * 20_000 + b"0\r\nX: y\r\n\r\n")
    assert answer.endswith(b'{"bytes":20000}')


async def test_what_comes_after_a_body_is_no_header(server: Running) -> None:
    trailer = b"X-Late: 1\r\nHost: b\r\n" * 60
    body = b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n"
    await server.raw(
        b"POST / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n" + CHUNKED + b"\r\n" + body
    )
    assert server.echo.calls == 1
    assert b"x-late" not in server.echo.names
