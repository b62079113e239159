"""The wiring of the worker: its rows in PostgreSQL, its runs in n8n.

Not here: the other roles (`reconciler.app.roles`).
"""

from __future__ import annotations

import functools
import os
import socket
from contextlib import AsyncExitStack

from reconciler.app import keyring, new_id, open_n8n
from reconciler.errors import ConfigError
from reconciler.log import REDACTOR
from reconciler.n8n.follow import Follower
from reconciler.n8n.runs import Runs
from reconciler.runtime.n8n_breaker import N8nBreaker
from reconciler.runtime.run import N8nRunner
from reconciler.runtime.worker import Pace, Worker
from reconciler.settings import Settings
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.store.notify import Listener
from reconciler.store.replies import Replies
from reconciler.vault.secret import Secret
from reconciler.vault.secrets import entry_secret


async def make_worker(
    settings: Settings,
    database: Database,
    executions: Executions,
    pace: Pace,
    stack: AsyncExitStack,
) -> Worker:
    """Make the worker; *stack* closes what it opens. Raises ConfigError without key or n8n."""
    ring = keyring(settings)
    if ring is None:
        message = "ENCRYPTION_KEY is not set"
        raise ConfigError(message, hint="set ENCRYPTION_KEY or ENCRYPTION_KEY_FILE")

    @functools.cache
    def secret(organization: str) -> Secret:
        found = entry_secret(ring, organization)
        REDACTOR.register([found.reveal()])
        return found

    api = await stack.enter_async_context(open_n8n(settings))
    runs = Runs(api)
    stack.push_async_callback(runs.aclose)
    follower = Follower(runs)
    stack.push_async_callback(follower.aclose)
    listener = Listener(database)
    stack.push_async_callback(listener.close)
    breaker = N8nBreaker(runs.reachable, lambda: follower.unreachable)
    runner = N8nRunner(follower, breaker, secret, keep=Replies(database).keep)
    name = f"{socket.gethostname()}:{os.getpid()}:{new_id()}"
    return Worker(name, executions, runner, pace=pace, gate=breaker, ear=listener)
