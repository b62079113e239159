"""A webhook from its spec to its execution: the daemon, `webhook list|send|sign`, curl and openssl."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.shell import Done

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "webhooks.md"
ORDERS = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SHOP = "a made-up secret"
TRIGGERS = [
    {
        "name": "orders",
        "type": "WEBHOOK",
        "auth": {"scheme": "standard-webhooks", "secretRef": {"env": "ORDERS_SECRET"}},
    },
    {
        "name": "shop",
        "type": "WEBHOOK",
        "auth": {"scheme": "hmac-sha256", "secretRef": {"env": "SHOP_SECRET"}},
        "methods": ["POST", "PUT"],
    },
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def daemon(stage: Stage) -> Iterator[None]:
    """Run the part of a daemon that listens; it ends politely."""
    port = stage.shell.env["RECONCILER_PORT"]
    running = stage.shell.start("daemon", "--roles", "api")
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(port)), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, running.err_so_far()
                time.sleep(0.05)
        yield
    finally:
        os.kill(running.pid, signal.SIGTERM)
        done = running.wait(30)
    assert done.code == 0, done.said


@pytest.fixture
def stage(on_fake: Stage) -> Iterator[Stage]:
    """An applied automation with two webhooks, and a daemon."""
    port = free_port()
    on_fake.shell.env |= {
        "ORDERS_SECRET": ORDERS,
        "SHOP_SECRET": SHOP,
        "RECONCILER_PORT": str(port),
        "RECONCILER_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    on_fake.repository.organization().automation("shop", triggers=TRIGGERS)
    on_fake.shell.apply()
    with daemon(on_fake):
        yield on_fake


def bodies(stage: Stage) -> list[Any]:
    """Read what the workflow will get, in the order of the calls."""
    found = stage.rows(
        'SELECT "triggerData" -> \'body\' FROM workflow_executions ORDER BY "createdAt", id'
    )
    return [body for (body,) in found]


def send(stage: Stage, *words: str) -> Done:
    return stage.shell.run("webhook", "send", *words)


def test_a_webhook_is_listed_sent_and_seen(stage: Stage) -> None:
    listed = stage.shell.ok("webhook", "list", "-o", "json").document["webhooks"]
    assert [
        ("acme/shop.orders", "standard-webhooks", ["POST"], True),
        ("acme/shop.shop", "hmac-sha256", ["POST", "PUT"], True),
    ] == [(one["webhook"], one["scheme"], one["methods"], one["active"]) for one in listed]

    first = send(stage, "shop.orders", "--body", '{"order": 7}', "--id", "one", "-o", "json")
    again = send(stage, "acme/shop.orders", "--body", '{"order": 7}', "--id", "one")
    put = send(
        stage, "shop.shop", "--body", "hi", "--content-type", "text/plain", "--method", "PUT"
    )
    assert (0, 202) == (first.code, first.document["status"]), first.said
    id_ = first.document["body"]["executionId"]
    assert f"200  {id_}  QUEUED  known already" == again.last, again.said
    assert put.code == 0, put.said
    assert [{"order": 7}, "hi"] == bodies(stage)

    shown = stage.shell.ok("executions", "show", id_, "-o", "json").document
    assert ("QUEUED", "webhook") == (shown["status"], shown["cause"])
    calls = [
        one["calls"] for one in stage.shell.ok("webhook", "list", "-o", "json").document["webhooks"]
    ]
    assert [1, 1] == calls
    text = stage.shell.ok("webhook", "list").out
    assert "acme/shop.orders  active" in text


def test_what_is_refused_is_told_with_a_code(stage: Stage) -> None:
    wrong = send(stage, "shop.orders", "--method", "GET")
    assert (5, "405  wrong-method: this webhook takes other methods") == (wrong.code, wrong.last)
    other = stage.shell.run("webhook", "send", "shop.orders", ORDERS_SECRET="another")
    assert other.code == 5
    assert "401  unauthorized" in other.out
    away = send(stage, "shop.orders", "--url", f"http://127.0.0.1:{free_port()}")
    assert (7, True) == (away.code, "does not answer" in away.err)
    unknown = send(stage, "shop.order")
    assert (64, True) == (unknown.code, 'did you mean "shop.orders"?' in unknown.err)
    several = send(stage, "shop")
    assert (64, True) == (several.code, "acme/shop.orders, acme/shop.shop" in several.err)
    unset = stage.shell.run("webhook", "send", "shop.orders", ORDERS_SECRET="")
    assert (78, True) == (unset.code, "ORDERS_SECRET" in unset.err), unset.said
    for done in (wrong, other, away, unset):
        assert ORDERS not in done.out + done.err
    assert [] == bodies(stage)
    deadline = time.monotonic() + 10
    reasons: list[str] = []
    while reasons != ["bad-signature", "wrong-method"] and time.monotonic() < deadline:
        seen = stage.shell.ok("webhook", "refused", "acme/shop", "-o", "json").document["refused"]
        reasons = [one["reason"] for one in seen]
    assert reasons == ["bad-signature", "wrong-method"]  # written in the background, newest first
    told = stage.shell.ok("webhook", "refused").out.splitlines()
    assert told[0].split() == ["REFUSED", "(UTC)", "REASON", "FROM", "AUTOMATION"]
    assert told[1].split()[2:] == ["bad-signature", "127.0.0.1", "acme/shop", "(orders)"]
    assert stage.shell.run("webhook", "refused", "nobody").code == 64


def test_parameters_of_the_url_get_to_the_workflow(stage: Stage) -> None:
    words = ("--query", "vendor=Müller & Co", "--query", "q=a=b", "--query", "empty=")
    done = send(stage, "shop.shop", "--body", "{}", "--wait", "100ms", *words)
    assert done.code == 0, done.said
    [(query,)] = stage.rows("SELECT \"triggerData\" -> 'query' FROM workflow_executions")
    assert {"vendor": "Müller & Co", "q": "a=b", "empty": ""} == query

    for word, why in (("nothing", "is not NAME=VALUE"), ("=1", "is not NAME"), ("wait=1s", "wait")):
        wrong = send(stage, "shop.shop", "--query", word)
        assert (64, True) == (wrong.code, why in wrong.err), wrong.said


def test_signed_headers_let_curl_in(stage: Stage) -> None:
    stage.shell.write("order.json", '{"order": 8}\n')
    headers = stage.shell.ok("webhook", "sign", "shop.orders", "--body", "@order.json").out
    done = curl(stage, "-H", "@-", "--data-binary", "@order.json", url(stage), given=headers)
    assert {"QUEUED"} == {done["status"]}
    assert [{"order": 8}] == bodies(stage)


def test_the_commands_of_the_guide_work(stage: Stage) -> None:
    [script] = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    parts = script.split("\n\n")
    assert len(parts) == 2
    stage.shell.write("order.json", '{"order": 9}\n')
    for part, address in zip(parts, (url(stage), url(stage, "shop")), strict=True):
        done = subprocess.run(
            ["sh", "-euc", part],
            cwd=stage.shell.folder,
            env={**stage.shell.env, "URL": address, "no_proxy": "*"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] == "QUEUED", done.stdout
    assert [{"order": 9}] * 2 == bodies(stage)


def url(stage: Stage, name: str = "orders") -> str:
    listed = stage.shell.ok("webhook", "list", "-o", "json").document["webhooks"]
    [found] = [one["url"] for one in listed if one["webhook"] == f"acme/shop.{name}"]
    return str(found)


def curl(stage: Stage, *words: str, given: str) -> Any:
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", *words],
        cwd=stage.shell.folder,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)
