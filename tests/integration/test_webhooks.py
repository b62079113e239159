"""Webhook calls on a real server and a real PostgreSQL: cases A1 to A13, and what a caller is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.store.database import Database
from reconciler.store.deliveries import Rejection
from tests.hooks_rig import SECRET, Hooks, hook, seal, serving
from tests.integration.tenants import Tenants, tenants_of

NOT_FOUND = {"error": {"code": "not-found", "message": "there is no such webhook"}}


@pytest.fixture
def world(upgraded_url: str) -> Iterator[Tenants]:
    """Two organizations with an automation each."""
    with tenants_of(upgraded_url) as tenants:
        for name in ("acme", "globex"):
            tenants.organization(name)
            tenants.automation(name, "intake")
        yield tenants


@pytest.fixture
async def hooks(database: Database, world: Tenants) -> AsyncIterator[Hooks]:
    """A server, and a signed webhook on acme's automation."""
    await hook(database, world)
    async with serving(database) as hooks:
        yield hooks


def rows(world: Tenants) -> int:
    count: int = world.value("SELECT count(*) FROM workflow_executions")
    return count


async def reasons(hooks: Hooks, world: Tenants) -> list[str]:
    """Read why calls were not let in."""
    await hooks.app.rejections.flush()
    found = world.sql("SELECT reason FROM reconciler.webhook_deliveries WHERE reason IS NOT NULL")
    return [reason for (reason,) in found]


async def test_a_signed_call_becomes_an_execution(hooks: Hooks, world: Tenants) -> None:
    answer = await hooks.signed(body=b'{"amount": 12}', params={"shop": "7"})
    assert answer.status_code == 202
    id_ = answer.json()["executionId"]
    assert answer.json() == {"executionId": id_, "status": "QUEUED"}
    [(data, cause, method, trigger)] = world.sql(
        'SELECT "triggerData", cause, method, "triggerId" FROM workflow_executions WHERE id = %s',
        id_,
    )
    assert ({"amount": 12}, {"shop": "7"}) == (data["body"], data["query"])
    assert ("webhook", "POST", "acme-intake-hook") == (cause, method, trigger)
    assert "webhook-signature" not in data["headers"]
    assert "https://hooks.example/api/webhooks/automation/acme-intake/hook" == data["webhookUrl"]
    [delivery] = world.sql(
        "SELECT accepted, execution_id, organization_id, body_bytes, host(remote_address) "
        "FROM reconciler.webhook_deliveries"
    )
    assert delivery == (True, id_, "acme", 14, "127.0.0.1")
    assert world.value('SELECT "triggerCount" FROM workflow_triggers') == 1


async def test_a1_a_replay_is_answered_with_the_first_execution(
    hooks: Hooks, world: Tenants
) -> None:
    first = await hooks.signed(id_="msg_1")
    second = await hooks.signed(id_="msg_1")
    assert (202, 200) == (first.status_code, second.status_code)
    assert {**first.json(), "duplicate": True} == second.json()
    assert rows(world) == 1
    assert await reasons(hooks, world) == ["duplicate"]


async def test_a1_many_replays_at_once_are_one_execution(hooks: Hooks, world: Tenants) -> None:
    answers = await asyncio.gather(*(hooks.signed(id_="msg_1") for _ in range(30)))
    assert {answer.json()["executionId"] for answer in answers} == {
        answers[0].json()["executionId"]
    }
    assert [202] + [200] * 29 == sorted((answer.status_code for answer in answers), reverse=True)
    assert rows(world) == 1


async def test_a_known_id_is_known_also_after_its_execution_was_removed(
    hooks: Hooks, world: Tenants
) -> None:
    first = await hooks.signed(id_="msg_1")
    world.sql("DELETE FROM workflow_executions")
    second = await hooks.signed(id_="msg_1")
    assert (200, first.json()["executionId"]) == (
        second.status_code,
        second.json()["executionId"],
    )
    assert rows(world) == 0


@pytest.mark.parametrize("seconds", [301, -301])
async def test_a2_a_call_out_of_time_is_refused(hooks: Hooks, world: Tenants, seconds: int) -> None:
    answer = await hooks.signed(now=datetime.now(UTC) + timedelta(seconds=seconds))
    assert answer.status_code == 401
    assert await reasons(hooks, world) == ["stale"]


@pytest.mark.parametrize("stamp", [".9", "1e9", "nan", "-1", "9" * 400, "1700000000.9", ""])
async def test_a3_a_timestamp_that_is_no_number_is_refused(hooks: Hooks, stamp: str) -> None:
    answer = await hooks.signed(headers={"webhook-timestamp": stamp})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"v1",
        b"v1,%%%",
        b"\xc3\xa4\xff",
        b"v1,YQ== junk",
        b"v2,YQ== v1,YQ==",
        b"v1,YQ== " * 3000 + b"v1",
    ],
)
async def test_a4_a_hostile_signature_is_refused(
    hooks: Hooks, world: Tenants, signature: bytes
) -> None:
    answer = await hooks.signed(headers={"webhook-signature": signature})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"
    assert rows(world) == 0


async def test_a4_fifty_thousand_signatures_are_too_large_a_header(hooks: Hooks) -> None:
    answer = await hooks.signed(headers={"webhook-signature": b"v1,YQ== " * 50_000 + b"v1"})
    assert answer.status_code == 431


async def test_a5_both_secrets_until_the_old_one_ends(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    past = datetime.now(UTC) - timedelta(seconds=1)
    for name, end in (("turning", soon), ("turned", past)):
        await hook(
            database, world, "globex-intake", name,
            secrets=("new", "old"), not_after=[None, end.isoformat()],
        )  # fmt: skip
    for path, secret, status in (
        ("globex-intake/turning", "new", 202),
        ("globex-intake/turning", "old", 202),
        ("globex-intake/turned", "new", 202),
        ("globex-intake/turned", "old", 401),
    ):
        assert (await hooks.signed(path, secret=secret)).status_code == status, (path, secret)
    assert await reasons(hooks, world) == ["expired-secret"]


@pytest.mark.parametrize("id_", ["a.b", "a" * 500, "a b", "ä"])
async def test_a6_an_id_of_another_form_is_malformed(hooks: Hooks, id_: str) -> None:
    answer = await hooks.signed(headers={"webhook-id": id_.encode()})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad-id"


async def test_a7_a_body_that_was_changed_is_refused(hooks: Hooks, world: Tenants) -> None:
    good = await hooks.signed(body=b'{"n":1}', id_="msg_1")
    request = good.request
    headers = {k: v for k, v in request.headers.items() if k.startswith("webhook-")}
    for body in (b'{"n":2}', b'{"n": 1}', b'{"n":1}\n'):
        answer = await hooks.call(body=body, headers={**headers, "webhook-id": "msg_2"})
        assert answer.status_code == 401
    zipped = await hooks.signed(headers={"content-encoding": "gzip"})
    assert zipped.status_code == 415
    assert rows(world) == 1


async def test_a8_a_body_reaches_nothing_but_the_items_body(hooks: Hooks, world: Tenants) -> None:
    hostile = {"files": {"x": {"filepath": "/etc/passwd"}}, "orgId": "globex", "status": "SUCCESS"}
    answer = await hooks.signed(body=json.dumps(hostile).encode())
    assert answer.status_code == 202
    [(data, organization, status)] = world.sql(
        'SELECT "triggerData", "orgId", status::text FROM workflow_executions'
    )
    assert (hostile, "acme", "QUEUED") == (data["body"], organization, status)


async def test_a8_a_body_that_is_not_what_it_says_is_refused(hooks: Hooks) -> None:
    for body, kind in (
        (b'{"a": 1}', "multipart/form-data; boundary=x"),
        (b"a=1", "application/json"),
        (b"\xff\xfe", "text/plain"),
    ):
        answer = await hooks.signed(body=body, headers={"content-type": kind})
        assert (400, "bad-body") == (answer.status_code, answer.json()["error"]["code"])


async def test_a9_a_body_of_one_byte_too_many_is_refused(hooks: Hooks, world: Tenants) -> None:
    limit = 1024 * 1024
    assert (await hooks.signed(body=b'"' + b"a" * (limit - 2) + b'"')).status_code == 202
    assert (await hooks.signed(body=b'"' + b"a" * (limit - 1) + b'"')).status_code == 413
    assert rows(world) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000, b"9" * 5000, b"NaN", b'"\\ud800"', b'"\\u0000"', b'"\xff"', b"1e999",
        '{"a":1}'.encode("utf-16"), b'{"a":' * 70 + b"1" + b"}" * 70,
    ],
)  # fmt: skip
async def test_a11_a_hostile_json_is_refused_and_the_server_goes_on(
    hooks: Hooks, world: Tenants, body: bytes
) -> None:
    answer = await hooks.signed(body=body)
    assert (400, "bad-body") == (answer.status_code, answer.json()["error"]["code"])
    assert (await hooks.signed()).status_code == 202


async def test_a12_unknown_inactive_and_foreign_look_the_same(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    world.automation("acme", "off", active=False)
    await hook(database, world, "acme-off")
    world.automation("acme", "paused")
    await hook(database, world, "acme-paused", isActive=False)
    world.automation("acme", "bare")
    for path in (
        "nothing", "acme-off", "acme-off/hook", "acme-paused", "acme-bare", "acme-intake/other",
        "globex-intake/hook", "acme-intake/hook/more", "a" * 500, "..%2f..", "%00", "acme-intake/",
        "",
    ):  # fmt: skip
        for method in ("POST", "GET", "DELETE", "OPTIONS"):
            answer = await hooks.signed(path, method=method)
            assert (404, NOT_FOUND) == (answer.status_code, answer.json()), path


async def test_a13_the_call_after_the_last_is_told_to_wait_and_others_are_served(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    await hook(database, world, "globex-intake")
    answers = await asyncio.gather(*(hooks.signed() for _ in range(150)))
    codes = [answer.status_code for answer in answers]
    assert (100, 50) == (codes.count(202), codes.count(429))
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert (await hooks.signed("globex-intake")).status_code == 202
    assert rows(world) == 101


async def test_a13_a_flood_without_a_signature_takes_no_place(hooks: Hooks, world: Tenants) -> None:
    codes = [
        answer.status_code for answer in await asyncio.gather(*(hooks.call() for _ in range(300)))
    ]
    assert {401} == set(codes)
    assert (await hooks.signed()).status_code == 202
    assert {"no-id"} == set(await reasons(hooks, world))


async def test_a_flood_does_not_fill_the_log_of_refused_calls(hooks: Hooks, world: Tenants) -> None:
    for _ in range(5000):
        hooks.app.rejections.note(
            Rejection(
                organization_id="acme", automation_id="acme-intake", trigger_id="acme-intake-hook",
                reason="no-signature", remote="192.0.2.7", bytes=0,
            )
        )  # fmt: skip
    assert len(await reasons(hooks, world)) == 100


async def test_a_known_id_takes_no_place(hooks: Hooks, world: Tenants) -> None:
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, rate_limit, rate_period_seconds)"
        " VALUES ('acme-intake', 2, 60)"
    )
    first = await hooks.signed(id_="msg_1")
    for _ in range(5):
        assert (await hooks.signed(id_="msg_1")).status_code == 200
    assert (await hooks.signed(id_="msg_2")).status_code == 202
    assert (await hooks.signed(id_="msg_3")).status_code == 429
    again = await hooks.signed(id_="msg_1")
    assert (200, first.json()["executionId"]) == (again.status_code, again.json()["executionId"])


async def test_a_full_queue_is_told_and_takes_no_place(hooks: Hooks, world: Tenants) -> None:
    world.sql(
        "INSERT INTO reconciler.automation_runtime (automation_id, max_queued) "
        "VALUES ('acme-intake', 3)"
    )
    answers = await asyncio.gather(*(hooks.signed() for _ in range(10)))
    codes = [answer.status_code for answer in answers]
    assert (3, 7) == (codes.count(202), codes.count(429))
    full = next(answer for answer in answers if answer.status_code == 429)
    assert ("queue-full", True) == (full.json()["error"]["code"], "retry-after" in full.headers)
    counted = "SELECT sum(n) FROM reconciler.webhook_rates, unnest(counts) AS n"
    assert world.value(counted) == 3


async def test_several_triggers_are_called_by_name(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    await hook(database, world, name="second", scheme="bearer", secrets=("token",))
    assert (await hooks.signed()).status_code == 404  # which one is meant?
    assert (await hooks.signed("acme-intake/hook")).status_code == 202
    bearer = await hooks.signed("acme-intake/second", scheme="bearer", secret="token")
    assert bearer.status_code == 202
    assert [1, 1] == [
        count for (count,) in world.sql('SELECT "triggerCount" FROM workflow_triggers')
    ]


@pytest.mark.parametrize("scheme", ["github", "hmac-sha256", "bearer", "none"])
async def test_every_scheme_lets_its_callers_in_and_nobody_else(
    hooks: Hooks, database: Database, world: Tenants, scheme: str
) -> None:
    await hook(database, world, "globex-intake", scheme=scheme, header="X-Sig")
    answer = await hooks.signed("globex-intake", scheme=scheme, header="X-Sig")
    assert answer.status_code == 202
    unsigned = await hooks.call("globex-intake")
    assert unsigned.status_code == (202 if scheme == "none" else 401)


async def test_a_method_that_a_webhook_does_not_take_is_told(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    await hook(database, world, "globex-intake", scheme="none", methods=["GET", "PUT"])
    assert (await hooks.call("globex-intake", b"", method="GET")).status_code == 202
    assert (await hooks.call("globex-intake", method="PUT")).status_code == 202
    wrong = await hooks.call("globex-intake")
    assert (405, "GET, PUT") == (wrong.status_code, wrong.headers["allow"])
    assert {("GET",), ("PUT",)} == set(world.sql("SELECT method FROM workflow_executions"))


async def test_a_call_that_does_not_fit_the_filters_starts_nothing(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    await hook(database, world, "globex-intake", filters={"type": "invoice"})
    fits = await hooks.signed("globex-intake", body=b'{"type": "invoice"}')
    other = await hooks.signed("globex-intake", body=b'{"type": "letter"}')
    assert (202, 200) == (fits.status_code, other.status_code)
    assert {"executionId": None, "status": "IGNORED"} == other.json()
    assert rows(world) == 1


async def test_a_trigger_without_auth_lets_nobody_in(hooks: Hooks, world: Tenants) -> None:
    world.trigger("globex-intake", "bare", triggerType="WEBHOOK", triggerEvent="webhook.received")
    assert (await hooks.signed("globex-intake")).status_code == 401


async def test_a_secret_that_cannot_be_read_is_no_reason_to_refuse_for_good(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    sealed = await seal(database, "acme", "acme-intake-hook", SECRET)
    await hook(database, world, "globex-intake")
    world.sql(
        "UPDATE workflow_triggers SET \"authSecrets\" = %s WHERE id = 'globex-intake-hook'", sealed
    )
    answer = await hooks.signed("globex-intake")  # moved here from another row: it does not open
    assert (503, "60") == (answer.status_code, answer.headers["retry-after"])
    assert (await hooks.signed()).status_code == 202
    assert await reasons(hooks, world) == ["secret-unreadable"]


async def test_a_new_secret_is_used_within_a_second(
    hooks: Hooks, database: Database, world: Tenants
) -> None:
    assert (await hooks.signed()).status_code == 202
    sealed = await seal(database, "acme", "acme-intake-hook", "another")
    world.sql('UPDATE workflow_triggers SET "authSecrets" = %s', sealed)
    await asyncio.sleep(1.1)
    assert (await hooks.signed()).status_code == 401
    assert (await hooks.signed(secret="another")).status_code == 202


async def test_an_automation_that_is_switched_off_is_gone_at_once(
    hooks: Hooks, world: Tenants
) -> None:
    assert (await hooks.signed()).status_code == 202
    world.sql("UPDATE automations SET \"isActive\" = false WHERE id = 'acme-intake'")
    assert (await hooks.signed()).status_code == 404
    assert rows(world) == 1
