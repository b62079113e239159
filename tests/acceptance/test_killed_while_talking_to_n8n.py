"""The process is killed at every send to a real n8n, and run again: nothing is lost or doubled.

Each round creates an automation, changes one and removes one; it is killed one send later than the
round before. `test_killed_at_every_send` does the same at every send to both servers, on the fake.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.instance import named
from tests.acceptance.records import inventory
from tests.acceptance.shell import Done, Forker
from tests.doubles.tcp_proxy import Plan, Proxy, Strike, proxy_to

pytestmark = [pytest.mark.n8n, pytest.mark.postgres, pytest.mark.slow]
APPLY = ("apply", "-y", "--prune", "--allow-remove", "1", "--lock-timeout", "20")


def killed(stage: Stage, proxy: Proxy, at: int, strike: Strike) -> tuple[bool, Done]:
    """Apply through *proxy* and kill the process at send *at*; tell whether it got so far."""
    known = threading.Event()
    pids: list[int] = []

    def pid() -> int:
        known.wait()
        return pids[0]

    plan = Plan(at=at, strike=strike, pid=pid)
    proxy.arm(plan)
    running = stage.shell.start(*APPLY, N8N_URL=proxy.url)
    pids.append(running.pid)
    known.set()
    done = running.wait()
    proxy.disarm()
    return plan.struck.is_set() or done.code == -9, done


def edit(stage: Stage, number: int) -> None:
    """One more, one changed, one gone."""
    stage.repository.automation(f"a{number + 1}", says="new")
    stage.repository.automation("steady", says=f"number {number}")
    stage.repository.drop(f"a{number}")


def check(stage: Stage, number: int, point: str) -> None:
    """The world is as an undisturbed apply leaves it."""
    again = stage.shell.run(*APPLY)
    assert again.code == 0, f"{point}: {again.said}"
    home = stage.organization
    found: dict[str, Any] = {}
    for workflow in stage.n8n.workflows(home):
        name = workflow["name"].removeprefix(f"{home} ")
        assert name not in found, f"{point}: {name} is there twice"
        found[name] = workflow
    expected = {"steady"} | {f"a{n}" for n in range(number + 2)}
    assert expected == found.keys(), point
    assert {"steady", f"a{number + 1}"} == {n for n, w in found.items() if w["active"]}, point
    assert {f"a{n}" for n in range(number + 1)} == {
        n for n, w in found.items() if w["isArchived"]
    }, point
    live = named(found["steady"]["activeVersion"], "Say")["parameters"]
    assert f"number {number}" in str(live), point
    recorded = {ids[1] for ids in inventory(stage.database_url).values()}
    assert {w["id"] for w in found.values()} <= recorded, point
    stage.shell.no_changes()


@pytest.mark.parametrize("strike", [Strike.KILL_BEFORE, Strike.KILL_AFTER], ids=lambda s: s.name)
def test_a_killed_apply_is_finished_by_the_next_one(
    on_real: Stage,
    forker: Forker,
    strike: Strike,
    record_property: Callable[[str, object], None],
) -> None:
    stage = on_real
    stage.shell.starter = forker
    stage.repository.organization().automation("steady").automation("a0")
    stage.shell.apply()
    with proxy_to(stage.shell.env["N8N_URL"]) as proxy:
        for number in itertools.count():
            edit(stage, number)
            struck, done = killed(stage, proxy, number + 1, strike)
            point = f"{strike.name} at send {number + 1}"
            if not struck:
                assert done.code == 0, done.said
                break
            assert done.code == -9, done.said
            check(stage, number, point)

    record_property("points", f"{strike.name} on a real n8n: {number}")
    assert number >= 10
