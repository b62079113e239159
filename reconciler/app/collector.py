"""The wiring of the collector: what n8n ran by itself, recorded in PostgreSQL.

Not here: the other roles (`reconciler.app.roles`).
"""

from __future__ import annotations

import functools
import os
import socket
from contextlib import AsyncExitStack

from reconciler.app import new_id, open_n8n
from reconciler.n8n.runs import Runs
from reconciler.runtime.collector import Collector
from reconciler.settings import Settings
from reconciler.store.database import Database
from reconciler.store.native import NativeRuns
from reconciler.workflow.catalog import shipped_catalog
from reconciler.workflow.lint import starts_runs


async def make_collector(
    settings: Settings, database: Database, stack: AsyncExitStack
) -> Collector:
    """Make the collector; *stack* closes what it opens. Raises ConfigError without n8n."""
    api = await stack.enter_async_context(open_n8n(settings))
    runs = Runs(api)
    stack.push_async_callback(runs.aclose)
    return Collector(
        runs,
        NativeRuns(database, new_id=new_id),
        holder=f"{socket.gethostname()}:{os.getpid()}:{new_id()}",
        starts=_starts,
    )


@functools.cache
def _starts(type_: str) -> bool:
    return starts_runs(type_, shipped_catalog().get(type_))
