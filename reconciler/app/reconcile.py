"""Wires the reconcile role: where specs come from, and the service that follows them."""

from __future__ import annotations

from contextlib import AsyncExitStack

from reconciler.app import open_session
from reconciler.app.source import specs_of
from reconciler.app.turn import DaemonTurns
from reconciler.clock import SystemClock
from reconciler.runtime.reconcile import Pace, Reconciler
from reconciler.settings import Settings
from reconciler.source.watch import Folder


async def make_reconciler(settings: Settings, stack: AsyncExitStack) -> Reconciler:
    """Make the service; *stack* closes what it opened. Raises ConfigError, UnreachableError."""
    specs = specs_of(settings)
    if isinstance(specs, Folder):
        stack.push_async_callback(specs.close)
    session = await stack.enter_async_context(open_session(settings, needs_key=True))
    pace = Pace(poll=settings.poll_interval, drift=settings.drift_interval)
    return Reconciler(specs, DaemonTurns(session, specs), SystemClock(), pace)
