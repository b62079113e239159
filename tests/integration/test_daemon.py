"""The daemon as a process: what it says about itself, how it ends, and what it never says."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.architecture.sources import ROOT
from tests.daemon_rig import KEY, listening, started, until
from tests.doubles import fake_n8n_http
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.tcp_proxy import Proxy
from tests.integration.tenants import tenants_of

pytestmark = pytest.mark.postgres
ROLES = ("--roles", "api,scheduler,worker")
ENTRY = json.dumps(
    {"reconciler": {"entry": [{"node": "Start", "field": "items", "kind": "manual"}]}}
)
API_KEY = "eyJ0eXAiOiJKV1QifQ.canary-api-key.c2ln"


@pytest.fixture
def n8n_url() -> Iterator[str]:
    with fake_n8n_http.serve(FakeN8n(api_key=API_KEY)) as url:
        yield url


@pytest.fixture
def environ(upgraded_url: str, n8n_url: str) -> dict[str, str]:
    return {"DATABASE_URL": upgraded_url, "N8N_URL": n8n_url, "N8N_API_KEY": API_KEY}


def test_it_is_ready_and_ends_politely(tmp_path: Path, environ: dict[str, str]) -> None:
    with listening(tmp_path, environ, *ROLES) as daemon:
        assert (200, '{"status":"live"}') == daemon.get("/livez")
        status, text = daemon.get("/readyz")
        assert (200, "ready", {}) == (status, *map(json.loads(text).get, ("status", "reasons")))
        assert {"database", "services"} <= set(json.loads(text)["checked"])
        assert 404 == daemon.get("/nothing")[0]
        assert 'reconciler_service_up{service="recount"} 1.0' in daemon.get("/metrics")[1]

        daemon.signal()

        assert 0 == daemon.end()
    assert ["stopping", "stopped"] == [line["event"] for line in daemon.lines()[-2:]]


def test_a_second_signal_ends_it_at_once(
    tmp_path: Path, environ: dict[str, str], upgraded_url: str
) -> None:
    with (
        listening(tmp_path, environ, *ROLES) as daemon,
        psycopg.connect(upgraded_url) as connection,
    ):
        connection.execute("LOCK TABLE workflow_executions")  # the worker waits, for seconds
        time.sleep(1.5)
        daemon.signal(signal.SIGINT)
        until(lambda: daemon.said("stopping"), "stopping")
        daemon.signal(signal.SIGINT)

        assert 130 == daemon.end()
    assert "Traceback" not in daemon.log.read_text("utf-8")


def test_while_it_stops_it_takes_nothing_new_and_says_why(
    tmp_path: Path, environ: dict[str, str], upgraded_url: str
) -> None:
    with listening(tmp_path, environ, *ROLES) as daemon:
        with psycopg.connect(upgraded_url) as connection:
            connection.execute("LOCK TABLE workflow_executions")  # somebody has to be waited for
            time.sleep(1.5)
            daemon.signal()
            until(lambda: daemon.said("stopping"), "stopping")
            ready, live = daemon.get("/readyz"), daemon.get("/livez")
            refused = _post(f"{daemon.url}/api/webhooks/automation/any", {})

        assert 0 == daemon.end()
    assert (503, 200) == (ready[0], live[0])
    assert "stopping" in json.loads(ready[1])["reasons"]
    assert "stopping" == json.loads(refused)["error"]["code"]


def test_without_its_database_it_is_live_but_not_ready_and_names_no_host(
    tmp_path: Path, environ: dict[str, str], upgraded_url: str
) -> None:
    host, port = _address(upgraded_url)
    proxy = Proxy(host, port)
    through = upgraded_url.replace(f":{port}/", f":{proxy.port}/")
    try:
        with listening(tmp_path, {**environ, "DATABASE_URL": through}, *ROLES) as daemon:
            assert 200 == daemon.get("/readyz")[0]
            proxy.close()
            until(lambda: daemon.get("/readyz")[0] == 503, "not ready")
            _, text = daemon.get("/readyz")

            assert "database" in json.loads(text)["reasons"]
            assert str(proxy.port) not in text
            assert 200 == daemon.get("/livez")[0]
            assert 200 == daemon.get("/metrics")[0]
            daemon.signal()
            assert 0 == daemon.end()
    finally:
        proxy.close()


@pytest.mark.parametrize("roles, status", [("api,worker", 200), ("worker", 503)])
def test_without_n8n_calls_are_still_taken_in_but_a_mere_worker_is_not_ready(
    tmp_path: Path, environ: dict[str, str], upgraded_url: str, roles: str, status: int
) -> None:
    with tenants_of(upgraded_url) as tenants:
        automation = _webhook(tenants)
        tenants.sql('UPDATE automations SET "n8nWorkflowId" = %s, metadata = %s', "w1", ENTRY)
        tenants.sql("INSERT INTO reconciler.automation_runtime VALUES (%s)", automation)
        tenants.sql(
            'INSERT INTO workflow_executions (id, "automationId", "orgId", status, cause, '
            '"triggerData", "updatedAt") VALUES (%s, %s, %s, %s, %s, %s, now())',
            "e1", automation, "acme", "QUEUED", "manual", "{}",
        )  # fmt: skip
    away = {**environ, "N8N_URL": "http://127.0.0.1:1"}
    with listening(tmp_path, away, "--roles", roles) as daemon:
        until(lambda: "n8n does not answer" in daemon.get("/readyz")[1], "noticing")
        assert status == daemon.get("/readyz")[0]
        daemon.signal()
        assert 0 == daemon.end()
    with tenants_of(upgraded_url) as tenants:
        assert [("QUEUED", 0)] == tenants.sql(
            "SELECT status::text, attempt FROM workflow_executions"
        )


def test_every_metric_is_documented(tmp_path: Path, environ: dict[str, str]) -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    with listening(tmp_path, environ, *ROLES) as daemon:
        status, text = daemon.get("/metrics")
    names = set(re.findall(r"^# TYPE (reconciler_\w+) ", text, re.MULTILINE))

    assert 200 == status
    assert len(names) > 20
    assert {name for name in names if f"`{name}`" not in page} == set()


@pytest.mark.parametrize(
    "words, environ_too, message, code",
    [
        (("--queues", "webhook,nonsense"), {}, "nonsense", 64),
        ((), {"RECONCILER_QUEUES": "webhook,nonsense"}, "nonsense", 78),
        (("--roles", "api,cook"), {}, "roles", 64),
        (("--grace", "-1"), {}, "grace", 64),
        ((), {"ENCRYPTION_KEY": "0" * 64}, "ENCRYPTION_KEY", 78),
        ((), {"N8N_URL": ""}, "N8N_URL", 78),
    ],
)
def test_a_wrong_setting_is_told_at_the_start(
    tmp_path: Path,
    environ: dict[str, str],
    words: tuple[str, ...],
    environ_too: dict[str, str],
    message: str,
    code: int,
) -> None:
    with started(tmp_path, {**environ, **environ_too}, *ROLES, *words) as daemon:
        assert code == daemon.end()
        assert message in daemon.log.read_text("utf-8")
        assert "Traceback" not in daemon.log.read_text("utf-8")


def test_a_port_that_is_taken_is_told_at_the_start(tmp_path: Path, environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(tmp_path, environ, *ROLES, "--port", str(port)) as daemon:
            assert 78 == daemon.end()
            assert f"can't listen on 127.0.0.1:{port}" in daemon.log.read_text("utf-8")


def test_no_secret_is_logged_or_shown_whatever_goes_wrong(
    tmp_path: Path, environ: dict[str, str], upgraded_url: str
) -> None:
    canaries = {"c4naryDatabasePassw0rd", API_KEY, "canary-api-key", KEY}
    host, port = _address(upgraded_url)
    with psycopg.connect(upgraded_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE canary LOGIN SUPERUSER PASSWORD 'c4naryDatabasePassw0rd'")
    proxy = Proxy(host, port)
    database = f"postgresql://canary:c4naryDatabasePassw0rd@{host}:{proxy.port}"
    wrong = {
        **environ,
        "DATABASE_URL": f"{database}/{upgraded_url.rpartition('/')[2]}",
        "N8N_URL": "http://127.0.0.1:1",
    }
    try:
        with tenants_of(upgraded_url) as tenants:
            automation = _webhook(tenants)
        with listening(tmp_path, wrong, *ROLES, "--log-level", "debug") as daemon:
            headers = {"Authorization": "Bearer c4naryBearerOfACaller", "Cookie": "c4naryCookie"}
            texts = [_post(f"{daemon.url}/api/webhooks/automation/{automation}", headers)]
            texts.append(_post(f"{daemon.url}/api/events", headers))
            with psycopg.connect(upgraded_url, autocommit=True) as connection:
                connection.execute("ALTER ROLE canary PASSWORD 'another'")
            proxy.close()
            until(lambda: daemon.get("/readyz")[0] == 503, "not ready")
            texts += [daemon.get(path)[1] for path in ("/readyz", "/metrics", "/livez")]
            texts.append(_post(f"{daemon.url}/api/events", headers))
            until(
                lambda: any(line["level"] in {"error", "warning"} for line in daemon.lines()),
                "trouble",
            )
            daemon.signal()
            assert 0 == daemon.end()
        everything = daemon.log.read_text("utf-8") + "".join(texts)
    finally:
        proxy.close()
        with psycopg.connect(upgraded_url, autocommit=True) as connection:
            connection.execute("DROP ROLE canary")

    canaries |= {"c4naryBearerOfACaller", "c4naryCookie"}
    assert {canary for canary in canaries if canary in everything} == set()


def _webhook(tenants: object) -> str:
    organization = tenants.organization("acme")  # type: ignore[attr-defined]
    automation: str = tenants.automation(organization, "intake")  # type: ignore[attr-defined]
    tenants.trigger(  # type: ignore[attr-defined]
        automation, "hook", triggerType="WEBHOOK", auth='{"scheme": "none"}'
    )
    return automation


def _post(url: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(url, data=b"{}", headers=headers, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            text: str = answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
    return text


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port
