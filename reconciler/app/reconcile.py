"""Wires the reconcile role: where specs come from, and the service that follows them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from reconciler.app import open_session
from reconciler.app.turn import DaemonTurns
from reconciler.clock import SystemClock
from reconciler.kinds.models import MODELS
from reconciler.runtime.reconcile import Pace, Reconciler
from reconciler.settings import Settings
from reconciler.source.mirror import Mirror, Remote
from reconciler.source.sight import Branch, Specs
from reconciler.source.watch import Folder


def specs_of(settings: Settings) -> Branch | Folder:
    """Give the place that specs come from: a git branch where one is set, else the folder.

    Raises ConfigError for a URL, a branch or a folder that git must not be asked for.
    """
    if settings.git_url is None:
        return Folder(settings.specs, MODELS)
    token = settings.git_token
    remote = Remote(
        url=settings.git_url,
        branch=settings.git_branch,
        folder=settings.git_path,
        token=token.get_secret_value() if token else None,
        ssh_key=_absolute(settings.git_ssh_key_file),
        insecure=settings.git_insecure,
    )
    return Branch(Mirror(settings.state, remote), MODELS)


async def make_reconciler(settings: Settings, stack: AsyncExitStack) -> Reconciler:
    """Make the service; *stack* closes what it opened. Raises ConfigError, UnreachableError."""
    specs: Specs = specs_of(settings)
    if isinstance(specs, Folder):
        stack.push_async_callback(specs.close)
    session = await stack.enter_async_context(open_session(settings, needs_key=True))
    pace = Pace(poll=settings.poll_interval, drift=settings.drift_interval)
    return Reconciler(specs, DaemonTurns(session, specs), SystemClock(), pace)


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()
