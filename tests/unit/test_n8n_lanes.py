"""Lanes: connections to n8n that one request at a time uses, on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from reconciler.n8n import lanes as lanes_module
from reconciler.n8n.client import Limits
from reconciler.n8n.lanes import Lanes
from reconciler.n8n.location import locate

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(slots=True)
class Server:
    """Answers requests as long as it may, and counts connections."""

    url: str = ""
    opened: int = 0
    open_now: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open_now += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(4)
                await self.may_answer.wait()
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_now -= 1
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    one = Server()
    one.may_answer.set()
    listening = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield one
    listening.close()


@pytest.fixture
async def lanes(server: Server) -> AsyncIterator[Lanes]:
    one = Lanes(locate(server.url), Limits())
    yield one
    await one.aclose()


async def _post(lanes: Lanes, server: Server) -> httpx.Response:
    return await lanes.post(f"{server.url}/webhook/a", b"body", {"X-Own": "1"}, 5.0)


async def _until(server: Server, open_now: int) -> None:
    async with asyncio.timeout(5):
        while server.open_now != open_now:  # noqa: ASYNC110 (the server counts, it does not tell)
            await asyncio.sleep(0.01)


async def test_requests_that_follow_each_other_share_a_connection(
    lanes: Lanes, server: Server
) -> None:
    for _ in range(5):
        assert (await _post(lanes, server)).content == b"ok"
    assert server.opened == 1


async def test_requests_at_the_same_time_have_a_connection_each(
    lanes: Lanes, server: Server
) -> None:
    for _ in range(3):
        await asyncio.gather(*(_post(lanes, server) for _ in range(7)))
    assert server.opened == 7


async def test_a_request_that_was_given_up_disturbs_no_other(lanes: Lanes, server: Server) -> None:
    server.may_answer.clear()
    given_up = asyncio.create_task(_post(lanes, server))
    await _until(server, 1)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    server.may_answer.set()
    assert (await _post(lanes, server)).content == b"ok"
    assert server.opened == 2


async def test_lanes_that_nobody_needs_are_closed(
    lanes: Lanes, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(_post(lanes, server) for _ in range(7)))
    monkeypatch.setattr(lanes_module, "_IDLE", 0.05)
    await asyncio.sleep(0.1)
    await _post(lanes, server)
    await _until(server, 1)


async def test_closing_ends_requests_under_way_too(lanes: Lanes, server: Server) -> None:
    server.may_answer.clear()
    under_way = asyncio.create_task(_post(lanes, server))
    await _until(server, 1)
    await lanes.aclose()
    server.may_answer.set()
    await _until(server, 0)
    with pytest.raises(httpx.HTTPError):
        await asyncio.wait_for(under_way, 5)


async def test_what_one_workflow_sets_as_a_cookie_goes_to_no_other() -> None:
    sent: list[str | None] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "session=1; Path=/"}, content=b"{}")

    lanes = Lanes(locate("http://127.0.0.1"), Limits(), httpx.MockTransport(serve))
    for automation in ("a", "b"):
        await lanes.post(f"http://127.0.0.1/webhook/{automation}", b"{}", {}, 5.0)
    await lanes.aclose()
    assert sent == [None, None]
