"""Ask a person before something changes; where nobody sits, --yes has to be said.

A question may stay open for hours: nothing that others need is held meanwhile.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from reconciler.cli.output import is_terminal
from reconciler.errors import GuardRefused


def ask(question: str, *, yes: bool) -> None:
    """Let a person confirm; raises GuardRefused without a person, click.Abort at a no or Ctrl-C."""
    if yes:
        return
    if not is_terminal(sys.stdin):
        message = "nobody is here to confirm"
        raise GuardRefused(message, hint="give --yes")
    with _interruptible():
        click.confirm(question, abort=True, err=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end what blocks: asyncio's own handler only cancels a task, which hears it later."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
