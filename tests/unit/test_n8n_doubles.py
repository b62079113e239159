"""The doubles themselves: a served fake, its faults over a socket, and the proxy that strikes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from reconciler.errors import N8nConflict, N8nUnreachable
from reconciler.n8n.client import Limits, N8n
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fake_n8n_http import FakeApi, serve
from tests.doubles.tcp_proxy import Plan, Proxy, Strike, proxy_to

CLIENT = """
import sys, urllib.request
for _ in range(3):
    print(urllib.request.urlopen(sys.argv[1] + "/healthz").status, flush=True)
"""


def body(path: str) -> Any:
    hook = {
        "id": "hook",
        "name": "Hook",
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2,
        "position": [0, 0],
        "parameters": {"httpMethod": "POST", "path": path},
        "webhookId": path,
    }
    return {"name": path, "nodes": [hook], "connections": {}, "settings": {}}


async def test_a_snapshot_brings_everything_back() -> None:
    fake = FakeN8n()
    api = FakeApi(fake)
    made = await api.post("/workflows", body("a"))
    await api.post(f"/workflows/{made['id']}/publish", {})
    before = fake.snapshot()
    shown = await api.get(f"/workflows/{made['id']}")
    await api.post(f"/workflows/{made['id']}/archive")
    await api.delete(f"/workflows/{made['id']}")
    await api.post("/workflows", body("b"))
    fake.restore(before)
    assert shown == await api.get(f"/workflows/{made['id']}")
    assert await api.probe("a") == 200
    fake.restore(before)
    assert ["a"] == [row["name"] async for row in api.pages("/workflows")]


async def test_publication_takes_the_calls_it_is_told_to_take() -> None:
    fake = FakeN8n(lag=3)
    api = FakeApi(fake)
    made = await api.post("/workflows", body("a"))
    await api.post(f"/workflows/{made['id']}/publish", {})
    assert [404, 404, 404, 200] == [await api.probe("a") for _ in range(4)]
    await api.post(f"/workflows/{made['id']}/unpublish")
    with pytest.raises(N8nConflict, match="still being unpublished"):
        await api.delete(f"/workflows/{made['id']}")
    assert await api.probe("a") == 200
    fake.settle()
    assert await api.probe("a") == 404
    await api.delete(f"/workflows/{made['id']}")


async def test_a_hand_edit_changes_the_draft_only() -> None:
    fake = FakeN8n()
    api = FakeApi(fake)
    made = await api.post("/workflows", body("a"))
    await api.post(f"/workflows/{made['id']}/publish", {})
    fake.edit(str(made["id"]), lambda draft: draft.update(name="by hand", connections={"Hook": {}}))
    found = await api.get(f"/workflows/{made['id']}")
    assert found["name"] == "by hand"
    assert made["versionId"] == found["activeVersionId"] != found["versionId"]
    fake.stop_serving(str(made["id"]))
    assert (await api.get(f"/workflows/{made['id']}"))["active"] is False
    assert [("POST", "/api/v1/workflows")] == [(c.method, c.path) for c in fake.writes()][:1]


@pytest.mark.parametrize("trouble", [Trouble.RESET, Trouble.HANG])
async def test_a_served_fake_breaks_as_told(trouble: Trouble) -> None:
    fake = FakeN8n()
    fake.faults.append(Fault(trouble=trouble, after=True, writes=True))
    with serve(fake) as url:
        async with N8n(url, fake.api_key, limits=Limits(read=0.3)) as api:
            with pytest.raises(N8nUnreachable) as caught:
                await api.post("/workflows", body("a"))
            assert caught.value.outcome_unknown is True
            assert ["a"] == [row["name"] async for row in api.pages("/workflows")]


async def test_nobody_listens_after_the_fake_is_gone() -> None:
    fake = FakeN8n()
    with serve(fake) as url:
        pass
    async with N8n(url, fake.api_key, limits=Limits(attempts=1)) as api:
        with pytest.raises(N8nUnreachable, match="can't be reached") as caught:
            await api.post("/workflows", body("a"))
    assert caught.value.outcome_unknown is False


@pytest.fixture
def fake() -> FakeN8n:
    return FakeN8n()


@pytest.fixture
def proxy(fake: FakeN8n) -> Iterator[Proxy]:
    with serve(fake) as url, proxy_to(url) as proxy:
        yield proxy


def call(proxy: Proxy) -> int:
    return httpx.get(f"{proxy.url}/healthz", trust_env=False, timeout=5).status_code


def test_the_proxy_counts_what_is_sent(proxy: Proxy) -> None:
    assert [200, 200, 200] == [call(proxy) for _ in range(3)]
    assert proxy.disarm() == 3
    assert proxy.count == 0


@pytest.mark.parametrize("strike,arrived", [(Strike.CUT_BEFORE, 1), (Strike.CUT_AFTER, 2)])
def test_the_proxy_cuts_the_chosen_send(
    proxy: Proxy, fake: FakeN8n, strike: Strike, arrived: int
) -> None:
    plan = Plan(at=2, strike=strike)
    proxy.arm(plan)
    assert call(proxy) == 200
    with pytest.raises(httpx.TransportError):
        call(proxy)
    assert plan.struck.is_set()
    assert arrived == len(fake.calls)
    assert call(proxy) == 200


def test_the_proxy_can_be_slow(proxy: Proxy) -> None:
    plan = Plan(at=1, strike=Strike.DELAY, seconds=0.2)
    proxy.arm(plan)
    answer = httpx.get(f"{proxy.url}/healthz", trust_env=False, timeout=5)
    assert answer.elapsed.total_seconds() >= 0.2
    assert plan.struck.is_set()


@pytest.mark.parametrize("strike,arrived", [(Strike.KILL_BEFORE, 1), (Strike.KILL_AFTER, 2)])
def test_the_proxy_kills_at_the_chosen_send(
    proxy: Proxy, fake: FakeN8n, strike: Strike, arrived: int
) -> None:
    started: list[subprocess.Popen[str]] = []
    proxy.arm(Plan(at=2, strike=strike, pid=lambda: started[0].pid))
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, proxy.url], stdout=subprocess.PIPE, text=True
    )
    started.append(process)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == -9
    assert output == "200\n"
    assert arrived == len(fake.calls)
