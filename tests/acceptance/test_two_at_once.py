"""Two people apply at the same time: one waits or is refused, and nothing is done twice."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.acceptance.conftest import Stage
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault


def slow(fake: FakeN8n) -> None:
    """Let each publication take a while."""
    fake.faults.append(Fault(path="/publish", times=1000, act=lambda _: time.sleep(0.3)))


def until(condition: object, seconds: float = 30) -> None:
    """Wait until *condition* holds."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def many(stage: Stage) -> list[str]:
    stage.repository.organization()
    names = [f"a{number}" for number in range(6)]
    for name in names:
        stage.repository.automation(name)
    return sorted(f"{stage.organization} {name}" for name in names)


def test_the_second_is_refused_and_told_who_holds_the_lock(on_fake: Stage, fake: FakeN8n) -> None:
    names = many(on_fake)
    slow(fake)

    first = on_fake.shell.start("apply", "-y")
    until(lambda: fake.state.workflows)
    second = on_fake.shell.run("apply", "-y", "--lock-timeout", "0")
    done = first.wait()

    assert (0, 6) == (done.code, second.code), second.said
    assert f"pid {first.pid}" in second.err
    assert names == sorted(w.name for w in fake.state.workflows.values())
    on_fake.shell.no_changes()


def test_the_second_waits_if_it_may_and_finds_nothing_left_to_do(
    on_fake: Stage, fake: FakeN8n
) -> None:
    names = many(on_fake)
    slow(fake)

    first = on_fake.shell.start("apply", "-y")
    until(lambda: fake.state.workflows)
    second = on_fake.shell.run("apply", "-y", "--lock-timeout", "60")
    done = first.wait()

    assert (0, 0) == (done.code, second.code), second.said
    assert "waiting for" in second.err
    assert "No changes." in second.out
    assert names == sorted(w.name for w in fake.state.workflows.values())


@pytest.mark.n8n
def test_two_that_start_at_once_make_nothing_twice(on_real: Stage) -> None:
    names = many(on_real)

    running = [on_real.shell.start("apply", "-y", "--lock-timeout", "90") for _ in range(2)]
    ended = [command.wait() for command in running]

    assert [0, 0] == [done.code for done in ended], ended[0].said + ended[1].said
    assert names == sorted(w["name"] for w in on_real.n8n.workflows(on_real.organization))
    on_real.shell.no_changes()


def test_who_waits_can_be_seen_and_a_plan_needs_no_lock(on_fake: Stage, fake: FakeN8n) -> None:
    many(on_fake)
    slow(fake)

    first = on_fake.shell.start("apply", "-y")
    until(lambda: fake.state.workflows)
    status = on_fake.shell.ok("status", "-o", "json").document
    planned = on_fake.shell.run("plan")
    first.wait()

    assert str(first.pid) in status["lock"]
    assert planned.code in {0, 2}
    assert on_fake.shell.ok("status", "-o", "json").document["lock"] is None


def test_a_writer_that_lost_its_lock_stops(on_fake: Stage, fake: FakeN8n) -> None:
    names = many(on_fake)
    slow(fake)

    first = on_fake.shell.start("apply", "-y", "--concurrency", "1")
    until(lambda: fake.state.workflows)
    with psycopg.connect(on_fake.database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks "
            "WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    done = first.wait()

    assert done.code in {4, 6, 7}, done.said
    on_fake.shell.apply("--lock-timeout", "20")
    assert names == sorted(w.name for w in fake.state.workflows.values())
    on_fake.shell.no_changes()
