"""What the runtime is for, walked through as a person does: `up`, the printed curl, `executions watch`.

Real PostgreSQL, real n8n, the real command line; faults are in `test_faults_*`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from reconciler.embedded import process
from tests.acceptance.conftest import Stage
from tests.acceptance.shell import Done, Running

pytestmark = [pytest.mark.n8n, pytest.mark.postgres]
READY = "Ctrl-C stops what was started here"
WEBHOOK = {"name": "shop", "type": "WEBHOOK", "auth": {"scheme": "none"}}
EVENT = {"name": "scans", "type": "DOCUMENT_UPLOADED", "filters": {"documentType": "invoice"}}
SAYS = [{"text": "hello"}]


@contextmanager
def up(stage: Stage) -> Iterator[Running]:
    """Hold a running `up` on the servers of *stage*."""
    running = stage.shell.start("up", "--port", "0")
    try:
        deadline = time.monotonic() + 120
        while READY not in running.out_so_far():
            assert process.birth(running.pid) is not None, running.wait().said
            assert time.monotonic() < deadline, running.err_so_far()
            time.sleep(0.1)
        yield running
    finally:
        if process.birth(running.pid) is not None:
            os.kill(running.pid, signal.SIGKILL)
            running.wait()


def printed_curl(said: str) -> list[str]:
    """Give the words of the curl command that `up` prints."""
    [line] = [line.strip() for line in said.splitlines() if line.strip().startswith("curl ")]
    return shlex.split(line)


def call(words: list[str]) -> tuple[int, Any]:
    """Do what the printed command does: with curl where there is one, else the same by hand."""
    if shutil.which("curl"):
        done = subprocess.run(
            [*words, "-sS", "-w", "\n%{http_code}"], capture_output=True, text=True, check=True
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body)
    headers = [words[at + 1] for at, word in enumerate(words) if word == "-H"]
    pairs = dict(header.split(": ", 1) for header in headers)
    [url] = [word for word in words if word.startswith("http")]
    answer = httpx.post(url, content=words[words.index("-d") + 1], headers=pairs)
    return answer.status_code, answer.json()


def lines_of(done: Done, id_: str) -> list[str]:
    """Give the steps of one execution that `watch` told."""
    return [line for line in done.out.splitlines() if id_ in line]


def test_a_person_sends_the_printed_curl_and_watches_it_succeed(on_real: Stage) -> None:
    on_real.repository.organization().automation("greet", triggers=[WEBHOOK, EVENT])
    with up(on_real) as running:
        status, answer = call(printed_curl(running.out_so_far()))

        assert (202, "QUEUED") == (status, answer["status"])
        id_ = answer["executionId"]
        watched = on_real.shell.run("executions", "watch", id_, "--for", "60s")
        assert 0 == watched.code, watched.said
        steps = lines_of(watched, id_)
        assert ["QUEUED", "RUNNING", "SUCCESS"] == [step.split()[2] for step in steps]
        assert json.dumps(SAYS) in steps[-1]

        _an_event_does_the_same(on_real)
        _so_does_a_program(on_real, running)
        _so_does_a_person(on_real)
        os.kill(running.pid, signal.SIGINT)
        done = running.wait()

    assert 0 == done.code, done.said
    counts = on_real.rows(
        "SELECT cause, count(*) FROM workflow_executions WHERE status = 'SUCCESS' "
        'AND "n8nExecutionId" IS NOT NULL GROUP BY 1 ORDER BY 1'
    )
    assert [("event", 3), ("manual", 2), ("webhook", 1)] == counts
    assert 6 == on_real.value('SELECT "successCount" FROM automations')


def _an_event_does_the_same(stage: Stage) -> None:
    """From the command line, and from an INSERT in another program's own transaction."""
    data = json.dumps({"documentType": "invoice"})
    sent = stage.shell.ok("events", "send", "DOCUMENT_UPLOADED", "--data", data, "-o", "json")
    [started] = sent.document["executions"]
    assert 0 == stage.shell.run("executions", "watch", started["execution_id"]).code

    with psycopg.connect(stage.database_url) as connection:
        connection.execute(
            "INSERT INTO reconciler.events (organization_id, id, type, data) "
            "SELECT id, 'by-hand', 'document.uploaded', %s FROM organization",
            (data,),
        )
    deadline = time.monotonic() + 30
    while not stage.rows("SELECT 1 FROM reconciler.events WHERE id = 'by-hand' AND executions = 1"):
        assert time.monotonic() < deadline, stage.rows("SELECT * FROM reconciler.events")
        time.sleep(0.1)
    spam = stage.shell.ok("events", "send", "DOCUMENT_UPLOADED", "--data", "{}", "-o", "json")
    assert [] == spam.document["executions"]
    shown = stage.shell.ok("events", "show", "by-hand", "-o", "json").document["started"]
    assert 0 == stage.shell.run("executions", "watch", shown[0]["execution_id"]).code


def _so_does_a_program(stage: Stage, running: Running) -> None:
    """With a token, over HTTP; without one it learns nothing."""
    token = stage.shell.ok("token", "create", "ci").out.strip()
    [url] = [word for word in printed_curl(running.out_so_far()) if word.startswith("http")]
    base = url.partition("/api/")[0]
    with httpx.Client(base_url=base, timeout=60) as http:
        assert 401 == http.get("/api/executions").status_code
        http.headers["Authorization"] = f"Bearer {token}"
        run = f"/api/automations/{stage.organization}/greet/run"
        answer = http.post(run, params={"wait": "30s"}, json={"input": {"a": 1}})
        assert (200, "SUCCESS", SAYS) == (
            answer.status_code,
            answer.json()["status"],
            answer.json()["output"],
        )
        event = {"type": "DOCUMENT_UPLOADED", "id": "e1", "data": {"documentType": "invoice"}}
        sent = [http.post("/api/events", json=event) for _ in range(2)]
        assert [202, 200] == [one.status_code for one in sent]
        assert (
            sent[0].json()["executions"][0]["executionId"]
            == (sent[1].json()["executions"][0]["executionId"])
        )
        id_ = sent[0].json()["executions"][0]["executionId"]
        assert 0 == stage.shell.run("executions", "watch", id_).code
        stage.shell.ok("token", "revoke", "ci")
        assert 401 == http.get("/api/executions").status_code


def _so_does_a_person(stage: Stage) -> None:
    """By hand; and `why` tells what became of it."""
    done = stage.shell.ok("run", "greet", "--input", '{"a": 1}', "--wait", "-o", "json")
    assert ("SUCCESS", SAYS) == (done.document["status"], done.document["output"])
    why = stage.shell.ok("why", done.document["id"])
    assert "the workflow ran to its end" in why.out
    assert f"/executions/{done.document['n8n_execution_id']}" in why.out
