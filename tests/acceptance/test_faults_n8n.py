"""n8n restarts, refuses, answers nonsense, loses a workflow: no run is lost or done twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.embedded.n8n_server import EmbeddedN8n
from reconciler.embedded.postgres import EmbeddedPostgres
from reconciler.embedded.stack import start_n8n
from reconciler.trigger.breaker import IN_A_ROW
from tests.acceptance.conftest import Stage
from tests.acceptance.fleet import Callers, all_over, fleet
from tests.acceptance.instance import Instance
from tests.acceptance.invariants import figures, record
from tests.acceptance.plant import Plant, Remark, poison, quick, slow
from tests.acceptance.repository import Repository
from tests.acceptance.shell import FreshInterpreter, Shell, bare_environment, new_key
from tests.doubles.http_proxy import Answer, troubled

pytestmark = [pytest.mark.postgres, pytest.mark.n8n, pytest.mark.slow]
HTML = {"content-type": "text/html"}


async def test_n8n_answers_429_and_500_and_html(on_real: Stage, record_property: Remark) -> None:
    plant = Plant(on_real)
    plant.automation("quick", quick())
    names = plant.apply()
    record(on_real.database_url)
    callers = Callers(on_real.database_url, [*names.values()])
    dice = random.Random(5)
    begun = time.monotonic()

    def moody(method: str, path: str) -> Answer | None:
        enough = trouble.given >= 30
        if enough or dice.random() > (0.3 if "/webhook/" in path else 0.1):
            return None
        return dice.choice(
            [
                (429, {"retry-after": "1"}, b'{"message":"slow down"}'),
                (500, HTML, b"<html>Internal Server Error</html>"),
                (200, HTML, b"<html>Welcome to the proxy</html>"),
                (502, HTML, b"<html>Bad Gateway</html>"),
            ]
        )

    with troubled(on_real.shell.env["N8N_URL"]) as trouble:
        trouble.answer = moody
        with fleet(plant.env(N8N_URL=trouble.url), heartbeat=2.0) as workers:
            workers.start()
            await callers.call(120, pause=0.2)
            # Whether a bad answer came before or after the run began has to be looked up: 8 s each.
            await all_over(on_real.database_url, 120, workers)
    found = figures(on_real.database_url, callers.accepted)
    repeated = await plant.repeated()
    record_property(
        "n8n answered 429, 500 and HTML",
        f"{found}; {trouble.given} such answers, {len(repeated)} run twice in n8n, "
        f"{time.monotonic() - begun:.0f} s",
    )
    found.hold()
    assert repeated == {}
    assert (
        found.states.get("SUCCESS", 0) >= 110
    )  # four bad answers in a row are rare, not impossible


async def test_a_poison_workflow_fails_and_harms_no_other(
    on_real: Stage, record_property: Remark
) -> None:
    plant = Plant(on_real)
    plant.automation("poison", poison("it never works"))
    plant.automation("quick", quick())
    names = plant.apply()
    url = on_real.database_url
    record(url)
    bad, good = Callers(url, [names["poison"]]), Callers(url, [names["quick"]])
    begun = time.monotonic()
    with fleet(plant.env()) as workers:
        workers.start()
        await bad.call(IN_A_ROW, together=IN_A_ROW)  # one more might wait for the breaker
        good.accepted += bad.accepted  # goes on with other keys
        await good.call(40, pause=0.3)
        deadline = time.monotonic() + 40
        while on_real.value(
            "SELECT count(*) FROM workflow_executions WHERE status IN ('QUEUED', 'RUNNING')"
        ):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    found = figures(url, good.accepted)
    gaps = on_real.rows(
        """
        SELECT attempt, round(avg(extract(epoch FROM started_at - before))::numeric, 2)::text
        FROM (
            SELECT attempt, started_at,
                lag(finished_at) OVER (PARTITION BY execution_id ORDER BY attempt) AS before
            FROM reconciler.execution_attempts
        ) AS a WHERE before IS NOT NULL GROUP BY 1 ORDER BY 1
        """
    )
    breaker = on_real.value(
        "SELECT breaker FROM reconciler.automation_runtime WHERE automation_id = %s",
        names["poison"],
    )
    record_property(
        "poison", f"{found}; gaps {gaps}, breaker {breaker}, {time.monotonic() - begun:.0f} s"
    )
    found.hold()
    assert found.states == {"SUCCESS": 40, "FAILED": IN_A_ROW}
    assert [
        wanted <= float(str(gap)) < wanted + 1.5
        for wanted, (_, gap) in zip((2, 4, 8), gaps, strict=True)
    ] == [True] * 3
    assert breaker == "OPEN"


async def test_a_workflow_is_deleted_in_n8n_during_its_run(
    on_real: Stage, record_property: Remark
) -> None:
    plant = Plant(on_real)
    plant.automation("slow", slow(20), retries=1)
    plant.automation("quick", quick())
    names = plant.apply()
    url = on_real.database_url
    record(url)
    callers = Callers(url, [names["slow"]])
    begun = time.monotonic()
    with fleet(plant.env()) as workers:
        workers.start()
        await callers.call(3)
        await asyncio.sleep(2)
        on_real.n8n.remove(on_real.n8n.workflow(f"{on_real.organization} slow")["id"])
        callers.automations = [names["quick"]]
        await callers.call(10)
        await all_over(url, 60, workers)
    found = figures(url, callers.accepted)
    record_property("workflow deleted", f"{found}; {time.monotonic() - begun:.0f} s")
    found.hold()
    assert found.states == {"SUCCESS": 10, "FAILED": 3}


@pytest.fixture
def own_n8n(tmp_path: Path) -> Iterator[tuple[EmbeddedN8n, str]]:
    """An n8n of this test alone, with an API key."""
    with EmbeddedPostgres(tmp_path / "server", durable=False) as server:
        n8n, api_key = start_n8n(tmp_path / "server", server.url())
        try:
            yield n8n, api_key
        finally:
            n8n.stop()


async def test_n8n_is_killed_and_restarted_under_load(
    tmp_path: Path,
    database_url: str,
    own_n8n: tuple[EmbeddedN8n, str],
    record_property: Remark,
) -> None:
    n8n, api_key = own_n8n
    env = bare_environment(
        DATABASE_URL=database_url, N8N_URL=n8n.url, N8N_API_KEY=api_key, ENCRYPTION_KEY=new_key()
    )
    shell = Shell(folder=tmp_path, env=env, starter=FreshInterpreter())
    instance = Instance(n8n.url, api_key)
    stage = Stage(shell, Repository(tmp_path / "specs", "acme"), instance, database_url)
    plant = Plant(stage)
    plant.automation("quick", quick(), timeout="5m")
    plant.automation("slow", slow(2), timeout="5m")
    names = plant.apply()
    record(database_url)
    callers = Callers(database_url, [*names.values()])
    begun = time.monotonic()
    with fleet(plant.env()) as workers:
        for _ in range(2):
            workers.start()
        calls = asyncio.create_task(callers.call(160, pause=0.5))
        await asyncio.sleep(6)
        facts = n8n.status()
        assert facts is not None
        os.killpg(int(facts["pid"]), signal.SIGKILL)
        await asyncio.to_thread(restart, n8n, 3.0)
        await asyncio.sleep(6)
        await asyncio.to_thread(restart, n8n, 0.5)
        await calls
        await all_over(database_url, 150, workers)
    found = figures(database_url, callers.accepted)
    repeated = await plant.repeated()
    instance.close()
    record_property(
        "n8n killed, then restarted",
        f"{found}; {len(repeated)} run again in n8n, {time.monotonic() - begun:.0f} s",
    )
    found.hold()
    assert found.states == {"SUCCESS": 160}, str(found)


def restart(n8n: EmbeddedN8n, seconds: float) -> None:
    """Stop n8n if it still runs, and start it again after *seconds* at the same address."""
    url = n8n.url
    n8n.stop()
    time.sleep(seconds)
    n8n.start()
    assert url == n8n.url
