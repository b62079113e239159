"""Ask a person before something changes; where nobody sits, --yes has to be said.

A question may stay open for hours: nothing that others need is held meanwhile.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from reconciler.cli.output import is_terminal
from reconciler.errors import GuardRefused

_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


def ask(question: str, *, yes: bool) -> None:
    """Let a person confirm; raises GuardRefused without a person, click.Abort at a no or Ctrl-C."""
    if yes:
        return
    if not is_terminal(sys.stdin):
        message = "nobody is here to confirm"
        raise GuardRefused(message, hint="give --yes")
    answer: bool | None = None
    try:
        with _interruptible() as stirred:
            while answer is None:
                click.echo(f"{question} [y/N]: ", nl=False, err=True)
                answer = _ANSWERS.get(_line(stirred).strip().lower())
    except (KeyboardInterrupt, EOFError):
        click.echo(err=True)  # what is said next begins a line
        answer = False
    if not answer:
        raise click.Abort


def _line(stirred: socket.socket) -> str:
    """Read a line; raises EOFError where there is none."""
    # A signal that comes before the waiting does not interrupt it, but can be read here.
    select.select([sys.stdin, stirred], [], [])
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


@contextmanager
def _interruptible() -> Iterator[socket.socket]:
    """Let Ctrl-C end what blocks: asyncio's own handler only cancels a task, which hears it later."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        descriptor = signal.set_wakeup_fd(theirs.fileno())
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(descriptor)
            signal.signal(signal.SIGINT, handler)
