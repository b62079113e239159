"""A worker in a process of its own: what `reconciler daemon --roles worker` runs, at a test's pace.

Settings come by the environment as for any command. PACE is a JSON object of a `Pace`; RUNNER is
empty for n8n, or a number of seconds that each run sleeps instead.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack

from reconciler.app import new_id
from reconciler.app.worker import make_worker
from reconciler.errors import ReconcilerError
from reconciler.runtime.hold import Hold, Runner
from reconciler.runtime.outcome import ended
from reconciler.runtime.ports import Pace
from reconciler.runtime.worker import Worker
from reconciler.settings import Settings, load_settings
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.store.notify import Listener
from reconciler.trigger.execution import Ended, Status


class Sleeper(Runner):
    """Runs executions by sleeping; what was taken over is done, like a run that n8n finished."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def run(self, hold: Hold) -> Ended:
        await hold.confirm()
        hold.started = True
        await asyncio.sleep(self._seconds)
        return ended(hold, asyncio.get_running_loop().time(), Status.SUCCESS)


async def worker_of(settings: Settings, database: Database, stack: AsyncExitStack) -> Worker:
    """Make the worker that the environment asks for."""
    pace = Pace(**json.loads(os.environ.get("PACE", "{}")))
    executions = Executions(database, new_id=new_id)
    sleep = os.environ.get("RUNNER")
    if not sleep:
        return await make_worker(settings, database, executions, pace, stack)
    listener = Listener(database)
    stack.push_async_callback(listener.close)
    runner = Sleeper(float(sleep))
    return Worker(f"{os.getpid()}:{new_id()}", executions, runner, pace=pace, ear=listener)


async def main() -> None:
    """Work until SIGTERM; a worker that fails starts again, as the supervisor would have it."""
    settings = load_settings({})
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with AsyncExitStack() as stack:
        url = settings.database_url
        assert url is not None
        database = await stack.enter_async_context(
            Database(url.get_secret_value(), pool_size=4, scans=False)  # as the daemon has it
        )
        worker = await worker_of(settings, database, stack)
        sys.stdout.write("working\n")
        sys.stdout.flush()
        while not stopping.is_set():
            try:
                await worker.run(stopping)
            except* ReconcilerError as group:
                sys.stderr.write(f"the worker starts again: {group.exceptions}\n")
                await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main())
