"""Small questions get true answers: why something is not there, what runs here already."""

from __future__ import annotations

import json
import os
import socket

from reconciler.embedded import process
from tests.acceptance.conftest import Stage
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault, Trouble


def because(stage: Stage, address: str) -> str:
    said = stage.shell.ok("why", address, "-o", "json").document["said"]
    return str(next(one["text"] for one in said if one["about"] == "because"))


def test_why_says_what_keeps_a_declared_resource_from_being_made(on_fake: Stage) -> None:
    on_fake.repository.organization().credential("door", "NOT_SET").automation("greeter")
    assert on_fake.shell.run("apply", "-y").code != 0

    assert "NOT_SET" in because(on_fake, "acme/Credential/door")
    unknown = on_fake.shell.run("why", "acme/Credential/gate")
    assert (unknown.code, "nothing is known" in unknown.err) == (64, True), unknown.said


def test_why_says_how_the_last_try_to_make_it_ended(on_fake: Stage, fake: FakeN8n) -> None:
    on_fake.repository.organization().automation("greeter")
    fake.faults.append(Fault(method="POST", path="/workflows", trouble=Trouble.ERROR, times=1000))
    assert on_fake.shell.run("apply", "-y").code == 4

    assert "the last try to create it failed" in because(on_fake, "acme/Automation/greeter")


def test_why_of_what_was_never_applied_says_that_n8n_does_not_answer(on_fake: Stage) -> None:
    on_fake.repository.organization()
    done = on_fake.shell.run("why", "acme/Credential/door", N8N_URL="http://127.0.0.1:9")
    assert (done.code, "can't be told" in done.err) == (64, True), done.said


def test_watching_by_lines_and_as_one_document_exclude_each_other(on_fake: Stage) -> None:
    done = on_fake.shell.run("executions", "watch", "--lines", "-o", "json", "--for", "1s")
    assert (done.code, "--lines" in done.err) == (64, True), done.said


def test_a_second_up_is_told_so_and_nothing_else(on_fake: Stage) -> None:
    state = on_fake.shell.folder / ".reconciler"
    words = ("started_at", "database_url", "n8n_url", "n8n_api_key")
    note = {"pid": os.getpid(), "born": process.birth(os.getpid()), **dict.fromkeys(words, "")}
    (state / "up.json").write_text(json.dumps(note), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as daemon:
        port = {"port": daemon.getsockname()[1]}
        (state / "port.json").write_text(json.dumps(port), encoding="utf-8")

        done = on_fake.shell.run("up", "--once")

    assert (done.code, "already runs" in done.err) == (6, True), done.said
    assert "taken" not in done.err
