"""A dispatcher in a process of its own, to be killed: database URL as the only argument."""

from __future__ import annotations

import asyncio
import sys

from reconciler.app import new_id
from reconciler.runtime.dispatcher import Dispatcher
from reconciler.store.database import Database
from reconciler.store.events import Events
from reconciler.store.executions import Executions


async def main(url: str) -> None:
    """Dispatch until the process is killed."""
    async with Database(url) as database:
        events = Events(database, Executions(database, new_id=new_id))
        print("ready", flush=True)
        await Dispatcher(events, lambda: None, poll_seconds=0.05).run(asyncio.Event())


asyncio.run(main(sys.argv[1]))
