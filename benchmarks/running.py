"""Executions a second through a real n8n, against bare HTTP calls to the same webhooks.

Both sides have 10 runs in flight, take turns, and count until n8n has finished the last run. The
floor only posts; ours claims, posts, follows each run, and records its end with its output.
Two workflows: one without an expression, one with.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.figures import Figure, table
from benchmarks.rig import Rig, apply, servers
from reconciler.app import keyring, new_id
from reconciler.app.worker import make_worker
from reconciler.runtime.ports import Pace
from reconciler.settings import Settings
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.store.notify import Notifier
from reconciler.trigger.execution import Cause, NewExecution
from reconciler.vault.secrets import entry_secret
from reconciler.workflow.entry import ENTRY_HEADER

AT_ONCE = 10
FLOOR = 0.8
QUICKEST = 400  # runs a second that no n8n reaches
OPEN = b"SELECT count(*) FROM workflow_executions WHERE status IN ('QUEUED', 'RUNNING')"
FAILED = b"SELECT count(*) FROM workflow_executions WHERE status <> 'SUCCESS'"


@dataclass(slots=True)
class Track:
    """The two ways to run the same workflows."""

    settings: Settings
    database: Database
    executions: Executions
    http: httpx.AsyncClient
    secret: str

    async def ours(self, automation: str, count: int) -> float:
        """Ask for *count* runs and wait until all are recorded; return runs a second."""
        async with AsyncExitStack() as stack:
            pace = Pace(concurrency=AT_ONCE)
            worker = await make_worker(self.settings, self.database, self.executions, pace, stack)
            stopping = asyncio.Event()
            task = asyncio.create_task(worker.run(stopping))
            await asyncio.sleep(0.5)
            begun = time.perf_counter()
            await self.executions.insert(
                [
                    NewExecution(
                        automation_id=automation, cause=Cause.API, trigger_data={"n": number}
                    )
                    for number in range(count)
                ]
            )
            await self._recorded(0.02)
            seconds = time.perf_counter() - begun
            stopping.set()
            await task
        assert await self._count(FAILED) == 0
        return count / seconds

    async def bare(self, automation: str, count: int) -> float:
        """Post *count* times and wait until n8n has finished; return runs a second."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with gate:
                answer = await self.http.post(
                    f"/webhook/{automation}",
                    json={"id": f"bare-{number}", "items": [{"n": number}]},
                    headers={ENTRY_HEADER: self.secret},
                )
                assert answer.status_code == 200, answer.text

        begun = time.perf_counter()
        await asyncio.gather(*(one(number) for number in range(count)))
        while True:
            if not await self._running():
                break
            await asyncio.sleep(0.02)
        return count / (time.perf_counter() - begun)

    async def latency(self, automation: str, count: int) -> list[float]:
        """Ask for runs one after another; return the seconds from asked to recorded."""
        took = []
        async with AsyncExitStack() as stack:
            worker = await make_worker(self.settings, self.database, self.executions, Pace(), stack)
            stopping = asyncio.Event()
            task = asyncio.create_task(worker.run(stopping))
            await asyncio.sleep(0.5)
            for number in range(count):
                new = NewExecution(automation_id=automation, cause=Cause.API, trigger_data={})
                begun = time.perf_counter()
                await self.executions.insert([new])
                await self._recorded(0.002)
                if number:  # the first one opens connections
                    took.append(time.perf_counter() - begun)
            stopping.set()
            await task
        return took

    async def _recorded(self, pause: float) -> None:
        """Wait until nothing waits or runs; asks seldom while much is left."""
        while True:
            left = await self._count(OPEN)
            if not left:
                return
            await asyncio.sleep(max(pause, left / QUICKEST))

    async def _count(self, query: bytes) -> int:
        [[count]] = await self.database.execute(query, {})
        return int(count)

    async def _running(self) -> bool:
        answer = await self.http.get("/api/v1/executions", params={"status": "running", "limit": 1})
        return bool(answer.json()["data"])


def run(rig: Rig, count: int, rounds: int) -> list[Figure]:
    """Measure on the servers of *rig*; *count* runs a turn."""
    specs = rig.folder / "running"
    _write_specs(specs)
    settings = rig.anew(specs)
    apply(settings)
    return asyncio.run(_measure(rig, settings, count, rounds))


async def _measure(rig: Rig, settings: Settings, count: int, rounds: int) -> list[Figure]:
    ring = keyring(settings)
    assert ring is not None
    async with AsyncExitStack() as stack:
        url = settings.database_url
        assert url is not None
        # As the daemon's worker has it.
        database = await stack.enter_async_context(
            Database(url.get_secret_value(), pool_size=4, scans=False)
        )
        executions = Executions(database, new_id=new_id, notifier=Notifier(database))
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=rig.n8n_url,
                timeout=60,
                trust_env=False,
                headers={"X-N8N-API-KEY": rig.api_key},
            )
        )
        secret = entry_secret(ring, "bench").reveal()
        track = Track(settings, database, executions, http, secret)
        found = await database.execute(b"SELECT id, name FROM automations ORDER BY name", {})
        figures = []
        for automation, name in found:
            for warm_up in (track.bare, track.ours):  # n8n compiles what it is asked for often
                await warm_up(automation, min(100, count))
            figures.append(await _compare(track, automation, name, (count, rounds)))
        figures.append(_quickest(await track.latency(found[0][0], 21)))
        return figures


async def _compare(track: Track, automation: str, name: str, size: tuple[int, int]) -> Figure:
    ours, bare, ratios = [], [], []
    for _ in range(size[1]):
        before = await track.bare(automation, size[0])
        ours.append(await track.ours(automation, size[0]))
        after = await track.bare(automation, size[0])
        bare += [before, after]
        ratios.append(2 * ours[-1] / (before + after))
    return Figure(
        part="run",
        what=f"runs/s, {AT_ONCE} at once, {name}",
        ours=statistics.median(ours),
        baseline=statistics.median(bare),
        unit="/s",
        ratio=statistics.median(ratios),
        at_least=FLOOR,
    )


def _quickest(took: Sequence[float]) -> Figure:
    return Figure(
        part="run",
        what="one run, from asked for to recorded",
        ours=statistics.median(took),
        note=f"slowest of {len(took)}: {max(took) * 1000:.0f} ms",
    )


def _write_specs(specs: Path) -> None:
    from tests.acceptance.plant import quick
    from tests.acceptance.repository import Repository, says_workflow

    repository = Repository(specs, "bench").organization()
    for name, workflow in _named(quick(), says_workflow("hello")):
        repository.automation(
            name, title=name, execution={"timeout": "60s", "concurrency": 2 * AT_ONCE}
        )
        repository.workflow(name, workflow)


def _named(quick: Any, says: Any) -> list[tuple[str, Any]]:
    return [("without-expression", quick), ("with-expression", says)]


def main() -> None:
    """Run alone: `python -m benchmarks.running [RUNS [ROUNDS]]`."""
    count, rounds = (int(word) for word in (*sys.argv[1:], "200", "3")[:2])
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as folder:
        with servers(Path(folder)) as rig:
            print(table(run(rig, count, rounds)))


if __name__ == "__main__":
    main()
