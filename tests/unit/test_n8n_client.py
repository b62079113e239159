"""The client against a fake that misbehaves: what is tried again, and what is known afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from reconciler.errors import (
    ConfigError,
    N8nInvalid,
    N8nUnauthorized,
    N8nUnavailable,
    N8nUnreachable,
)
from reconciler.n8n import answers
from reconciler.n8n.client import Limits, N8n
from reconciler.resource.api import Api
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fake_n8n_http import FakeTransport

KEY = "key-that-nobody-may-see"


class StillClock:
    """A clock on which waiting takes no time."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)
        self.waits: list[float] = []

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def fake() -> FakeN8n:
    return FakeN8n(api_key=KEY)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def api(fake: FakeN8n, clock: StillClock) -> AsyncIterator[N8n]:
    limits = Limits(read=0.05)
    async with N8n(
        "http://n8n.test", KEY, limits=limits, clock=clock, transport=FakeTransport(fake)
    ) as client:
        yield client


def body(name: str = "a workflow") -> Any:
    hook = {
        "id": "hook",
        "name": "Hook",
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2,
        "position": [0, 0],
        "parameters": {"httpMethod": "POST", "path": name},
        "webhookId": name,
    }
    return {"name": name, "nodes": [hook], "connections": {}, "settings": {}}


def may_have_happened(error: BaseException) -> bool:
    assert isinstance(error, N8nUnavailable | N8nUnreachable)
    return error.outcome_unknown


def test_the_client_is_an_api(api: N8n) -> None:
    port: Api = api
    assert port is api


async def test_a_written_object_comes_back(api: N8n, fake: FakeN8n) -> None:
    made = await api.post("/workflows", body())
    assert made == await api.get(f"/workflows/{made['id']}") | {
        "shared": made["shared"],
        "parentFolder": None,
    }
    assert [("POST", 200), ("GET", 200)] == [(call.method, call.status) for call in fake.calls]


TRANSIENT = [
    Trouble.RESET,
    Trouble.REFUSED,
    Trouble.ERROR,
    Trouble.BUSY,
    Trouble.STARTING,
    Trouble.HTML,
    Trouble.BAD_GATEWAY,
]


@pytest.mark.parametrize("trouble", TRANSIENT)
async def test_a_read_is_tried_again(api: N8n, fake: FakeN8n, trouble: Trouble) -> None:
    fake.faults.append(Fault(trouble=trouble, times=3))
    assert await api.get("/workflows") == {"data": [], "nextCursor": None}
    assert len(fake.calls) == 4


@pytest.mark.parametrize("trouble", TRANSIENT)
async def test_a_read_is_not_tried_for_ever(api: N8n, fake: FakeN8n, trouble: Trouble) -> None:
    fake.faults.append(Fault(trouble=trouble, times=100))
    with pytest.raises((N8nUnavailable, N8nUnreachable)) as caught:
        await api.get("/workflows")
    assert may_have_happened(caught.value) is False
    assert len(fake.calls) == 4


@pytest.mark.parametrize("trouble", [t for t in TRANSIENT if t is not Trouble.REFUSED])
@pytest.mark.parametrize("after", [False, True])
async def test_a_creation_is_sent_once(
    api: N8n, fake: FakeN8n, trouble: Trouble, after: bool
) -> None:
    fake.faults.append(Fault(trouble=trouble, after=after))
    with pytest.raises((N8nUnavailable, N8nUnreachable)) as caught:
        await api.post("/workflows", body())
    assert (trouble is not Trouble.BUSY) is may_have_happened(caught.value)
    assert len(fake.calls) == 1
    assert int(after) == len(fake.state.workflows)


async def test_a_creation_that_never_left_is_sent_again(api: N8n, fake: FakeN8n) -> None:
    fake.faults.append(Fault(trouble=Trouble.REFUSED, times=3))
    await api.post("/workflows", body())
    assert len(fake.state.workflows) == 1


async def test_a_creation_that_never_leaves_is_known_not_to_have_happened(
    api: N8n, fake: FakeN8n
) -> None:
    fake.faults.append(Fault(trouble=Trouble.REFUSED, times=100))
    with pytest.raises(N8nUnreachable, match="can't be reached") as caught:
        await api.post("/workflows", body())
    assert caught.value.outcome_unknown is False


@pytest.mark.parametrize("trouble", TRANSIENT)
@pytest.mark.parametrize("after", [False, True])
async def test_an_idempotent_write_is_tried_again(
    api: N8n, fake: FakeN8n, trouble: Trouble, after: bool
) -> None:
    made = await api.post("/workflows", body())
    fake.faults.append(Fault(trouble=trouble, after=after, times=2))
    where = f"/workflows/{made['id']}/publish"
    shown = await api.post(where, {"versionId": made["versionId"]}, idempotent=True)
    assert made["versionId"] == shown["activeVersionId"]
    assert len(fake.calls) == 4


async def test_a_refusal_is_not_tried_again(api: N8n, fake: FakeN8n) -> None:
    with pytest.raises(N8nInvalid) as caught:
        await api.post("/workflows", {"name": "x"}, idempotent=True)
    assert "request/body must have required property 'nodes'" == caught.value.detail
    assert len(fake.calls) == 1


async def test_a_refused_key_is_not_tried_again(api: N8n, fake: FakeN8n) -> None:
    fake.faults.append(Fault(trouble=Trouble.UNAUTHORIZED))
    with pytest.raises(N8nUnauthorized) as caught:
        await api.get("/workflows")
    assert len(fake.calls) == 1
    assert caught.value.hint is not None


async def test_a_silent_server_is_given_up_on(api: N8n, fake: FakeN8n) -> None:
    fake.faults.append(Fault(trouble=Trouble.HANG, times=100))
    with pytest.raises(N8nUnreachable, match=r"did not answer GET /workflows within 0\.05 s"):
        await api.get("/workflows")
    assert len(fake.calls) == 2


async def test_a_write_to_a_silent_server_may_have_happened(api: N8n, fake: FakeN8n) -> None:
    fake.faults.append(Fault(trouble=Trouble.HANG, after=True))
    with pytest.raises(N8nUnreachable) as caught:
        await api.post("/workflows", body())
    assert caught.value.outcome_unknown is True
    assert len(fake.state.workflows) == 1


async def test_one_call_with_its_retries_has_an_end(fake: FakeN8n) -> None:
    fake.faults.append(Fault(trouble=Trouble.HANG, times=100))
    limits = Limits(read=30, total=0.05)
    async with N8n("http://n8n.test", KEY, limits=limits, transport=FakeTransport(fake)) as api:
        with pytest.raises(N8nUnreachable, match="did not finish PUT /workflows/x") as caught:
            await api.put("/workflows/x", body(), idempotent=True)
    assert caught.value.outcome_unknown is True


@pytest.mark.parametrize(
    "header,expected",
    [("7", 7.0), ("Thu, 01 Jan 2026 00:00:09 GMT", 9.0), ("3600", 30.0), ("soon", 0.0)],
)
async def test_a_busy_server_says_how_long_to_wait(
    api: N8n, fake: FakeN8n, clock: StillClock, header: str, expected: float
) -> None:
    fake.faults.append(Fault(trouble=Trouble.BUSY, retry_after=header))
    await api.get("/workflows")
    (waited,) = clock.waits
    assert expected <= waited <= max(expected, 0.375)


async def test_waits_grow(api: N8n, fake: FakeN8n, clock: StillClock) -> None:
    fake.faults.append(Fault(trouble=Trouble.ERROR, times=3))
    await api.get("/workflows")
    first, second, third = clock.waits
    assert 0.25 <= first <= 0.375
    assert 0.5 <= second <= 0.75
    assert 1.0 <= third <= 1.5


async def test_no_error_shows_the_key(fake: FakeN8n) -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        key = request.headers["x-n8n-api-key"]
        return httpx.Response(400, json={"message": f"you sent {key}"})

    async with N8n("http://n8n.test", KEY, transport=httpx.MockTransport(echo)) as api:
        with pytest.raises(N8nInvalid) as caught:
            await api.get("/workflows")
    assert caught.value.detail == "you sent ***"
    assert KEY not in str(caught.value) + repr(api)


async def test_no_error_shows_the_data_of_a_credential() -> None:
    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"message": request.content.decode()})

    secret: Any = {"value": "deep-secret", "list": ["other-secret"]}
    async with N8n("http://n8n.test", KEY, transport=httpx.MockTransport(echo)) as api:
        with pytest.raises(N8nInvalid) as caught:
            await api.post("/credentials", {"name": "key", "type": "t", "data": secret})
    assert "secret" not in caught.value.detail
    assert '"name": "key"' in caught.value.detail


async def test_a_probe_does_not_show_the_key() -> None:
    seen: list[httpx.Request] = []

    def door(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(403, text="Authorization data is wrong!")

    async with N8n("http://n8n.test/sub/", KEY, transport=httpx.MockTransport(door)) as api:
        assert await api.probe("abc") == 403
    (request,) = seen
    assert "POST http://n8n.test/sub/webhook/abc" == f"{request.method} {request.url}"
    assert KEY not in str(request.headers)


async def test_redirects_are_not_followed() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"location": "https://evil.test/"})

    async with N8n("http://n8n.test", KEY, transport=httpx.MockTransport(away)) as api:
        with pytest.raises(N8nUnreachable, match=r"redirects to 'https://evil\.test/'"):
            await api.get("/workflows")


async def test_a_path_stays_below_the_api() -> None:
    seen: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(200, json={})

    async with N8n("http://n8n.test", KEY, transport=httpx.MockTransport(note)) as api:
        with pytest.raises(N8nInvalid):
            await api.get("/workflows/../../../rest/login")
        await api.get("/workflows/a?b=c#d", limit=2, flag=True)
    assert seen == ["/api/v1/workflows/a%3Fb=c%23d?limit=2&flag=true"]


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nbreak", "kéy"])
def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        N8n("http://n8n.test", key)
    assert not key.strip() or key not in str(caught.value) + str(caught.value.hint)


WRONG: list[Callable[[httpx.Request], httpx.Response]] = [
    lambda _: httpx.Response(200, text="<html><title>Sign in</title></html>"),
    lambda _: httpx.Response(200, json="a string"),
    lambda _: httpx.Response(404, text="<html><title>nginx: not found</title></html>"),
]


@pytest.mark.parametrize("answer", WRONG)
async def test_a_page_of_somebody_else_is_not_n8ns_word(
    clock: StillClock, answer: Callable[[httpx.Request], httpx.Response]
) -> None:
    transport = httpx.MockTransport(answer)
    async with N8n("http://n8n.test", KEY, clock=clock, transport=transport) as api:
        with pytest.raises(N8nUnavailable) as caught:
            await api.get("/workflows/x")
    assert "N8N_URL" in str(caught.value.hint)


@pytest.mark.parametrize(
    "date, ahead",
    [
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", -3600.0),
        ("soon", 7.0),
        (None, 7.0),
    ],
)
def test_how_far_n8ns_clock_is_ahead(date: str | None, ahead: float) -> None:
    headers = {} if date is None else {"date": date}
    assert answers.ahead(headers, datetime(2026, 1, 1, tzinfo=UTC), 7.0) == ahead
