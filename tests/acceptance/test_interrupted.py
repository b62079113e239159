"""Ctrl-C in the middle of an apply: it ends soon, says what happened, and the next one finishes."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.test_two_at_once import many, slow, until
from tests.doubles.fake_n8n import FakeN8n


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_an_interrupted_apply_tells_what_happened(
    on_fake: Stage, fake: FakeN8n, number: signal.Signals
) -> None:
    names = many(on_fake)
    slow(fake)
    running = on_fake.shell.start("apply", "-y", "--concurrency", "1")
    until(lambda: len(fake.state.workflows) >= 2)
    begin = time.monotonic()

    os.kill(running.pid, number)
    done = running.wait()

    assert time.monotonic() - begin < 10
    assert 130 == done.code, done.said
    assert "Traceback" not in done.err
    assert done.last.startswith("Apply: ")
    assert "not attempted" in done.last
    assert "the next apply finishes" in done.err
    on_fake.shell.apply("--lock-timeout", "20")
    assert names == sorted(w.name for w in fake.state.workflows.values())
    on_fake.shell.no_changes()


def test_the_summary_counts_what_really_happened(on_fake: Stage, fake: FakeN8n) -> None:
    names = many(on_fake)
    slow(fake)
    running = on_fake.shell.start("apply", "-y", "--concurrency", "1", "-o", "json")
    until(lambda: len(fake.state.workflows) >= 3)

    os.kill(running.pid, signal.SIGINT)
    done = running.wait()

    summary = done.document["summary"]
    settled = on_fake.value(
        "SELECT count(*) FROM reconciler.resources WHERE applied_at IS NOT NULL"
    )
    assert done.document["interrupted"]
    assert summary["applied"] == settled
    assert len(names) + 1 == sum(summary.values())
    assert "interrupted" == on_fake.value(
        "SELECT outcome FROM reconciler.operations ORDER BY started_at DESC LIMIT 1"
    )


def test_ctrl_c_while_reading_says_interrupted(on_fake: Stage, fake: FakeN8n) -> None:
    from tests.doubles.fake_n8n_faults import Fault

    on_fake.repository.organization()
    fake.faults.append(Fault(method="GET", times=1000, act=lambda _: time.sleep(1)))
    running = on_fake.shell.start("plan")
    until(lambda: any(fault.seen for fault in fake.faults))

    os.kill(running.pid, signal.SIGINT)
    done = running.wait()

    assert 130 == done.code, done.said
    assert "interrupted" in done.err
    assert "Traceback" not in done.err
