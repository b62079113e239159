"""A database with automations, ways to ask for runs, and a runner that does as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from reconciler.app import new_id
from reconciler.runtime.hold import Hold, Runner
from reconciler.runtime.outcome import ended
from reconciler.runtime.ports import Ear, Gate, Pace
from reconciler.runtime.worker import Worker
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.trigger.execution import Cause, Claimed, Ended, NewExecution, Status

QUICK = Pace(poll=0.05, heartbeat=0.3, lease=1.5, rescue=0.2, grace=5.0)
ENTRY = [{"node": "Webhook", "field": "items", "kind": "webhook", "methods": ["POST"]}]


@dataclass(slots=True)
class Desk:
    """What a test asks of the database."""

    database: Database
    executions: Executions
    organization: str = "acme"

    async def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        return await self.database.execute(query.encode(), values)

    async def value(self, query: str, **values: Any) -> Any:
        [[value]] = await self.rows(query, **values)
        return value

    async def automation(self, id_: str = "a1", **settings: Any) -> str:
        """Make an automation; *settings* are columns of its runtime row."""
        await self.rows(
            """
            WITH o AS (
                INSERT INTO organization (id, name, "updatedAt") VALUES ('o1', 'acme', now())
                ON CONFLICT DO NOTHING
            ), u AS (
                INSERT INTO users (id, email, "updatedAt") VALUES ('u1', 'ops@acme.example', now())
                ON CONFLICT DO NOTHING
            )
            INSERT INTO automations (id, name, "triggerType", "triggerConfig", "orgId",
                "createdById", "n8nWorkflowId", metadata, "updatedAt")
            VALUES (%(id)s, %(id)s, 'WEBHOOK', '{}', 'o1', 'u1', %(workflow)s, %(metadata)s::jsonb,
                now())
            """,
            id=id_,
            workflow=settings.pop("workflow", f"w-{id_}"),
            metadata=json.dumps({"reconciler": {"entry": settings.pop("entry", ENTRY)}}),
        )
        names = "".join(f", {name}" for name in settings)
        values = "".join(f", %({name})s" for name in settings)
        await self.rows(
            f"INSERT INTO reconciler.automation_runtime (automation_id{names}) VALUES (%(id)s{values})",
            id=id_,
            **settings,
        )
        return id_

    async def ask(self, count: int = 1, automation: str = "a1") -> list[str]:
        """Ask for runs; return their ids."""
        new = [
            NewExecution(automation_id=automation, cause=Cause.WEBHOOK, trigger_data={"n": number})
            for number in range(count)
        ]
        return [one.id for one in await self.executions.insert(new) if one.id is not None]

    async def status(self, id_: str) -> str:
        found: str = await self.value(
            "SELECT status::text FROM workflow_executions WHERE id = %(id)s", id=id_
        )
        return found

    async def until(self, id_: str, *wanted: str, seconds: float = 15.0) -> str:
        """Wait for one of the states *wanted*."""
        async with asyncio.timeout(seconds):
            while True:
                status = await self.status(id_)
                if status in wanted:
                    return status
                await asyncio.sleep(0.02)

    async def all_over(self, seconds: float = 20.0) -> None:
        """Wait until nothing waits or runs."""
        query = "SELECT count(*) FROM workflow_executions WHERE status IN ('QUEUED', 'RUNNING')"
        async with asyncio.timeout(seconds):
            while True:
                if await self.value(query) == 0:
                    return
                await asyncio.sleep(0.02)


async def eventually(check: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until *check* says yes."""
    async with asyncio.timeout(seconds):
        while True:
            if check():
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def desk(url: str, *, lock_timeout: float = 5.0) -> AsyncIterator[Desk]:
    """Open the database at *url*, upgraded and empty."""
    async with Database(url, pool_size=12, lock_timeout=lock_timeout) as database:
        yield Desk(database, Executions(database, new_id=new_id))


Script = Callable[[Hold], Awaitable[Ended]]


def now() -> float:
    return asyncio.get_running_loop().time()


async def succeed(hold: Hold) -> Ended:
    """Succeed at once."""
    return ended(hold, now(), Status.SUCCESS)


@dataclass(slots=True)
class Scripted(Runner):
    """Runs executions as *script* says, and remembers them."""

    script: Script = succeed
    seen: list[Claimed] = field(default_factory=list)
    at_once: int = 0
    most: int = 0

    async def run(self, hold: Hold) -> Ended:
        self.seen.append(hold.claimed)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            return await self.script(hold)
        finally:
            self.at_once -= 1


@asynccontextmanager
async def working(
    place: Desk | Executions,
    runner: Runner,
    *,
    pace: Pace = QUICK,
    name: str = "w1",
    gate: Gate | None = None,
    ear: Ear | None = None,
) -> AsyncIterator[asyncio.Event]:
    """Run a worker; setting the event that this yields stops it in an orderly way."""
    executions = place.executions if isinstance(place, Desk) else place
    worker = Worker(name, executions, runner, pace=pace, gate=gate, ear=ear)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run(stopping))
        try:
            yield stopping
        finally:
            stopping.set()
            await asyncio.wait([task])


async def kill(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """End tasks as a crash does."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
