"""Ask a person before something changes; where nobody sits, --yes has to be said."""

from __future__ import annotations

import sys

import click

from reconciler.cli.output import is_terminal
from reconciler.errors import GuardRefused


def ask(question: str, *, yes: bool) -> None:
    """Let a person confirm; raises GuardRefused without a person, click.Abort at a no."""
    if yes:
        return
    if not is_terminal(sys.stdin):
        message = "nobody is here to confirm"
        raise GuardRefused(message, hint="give --yes")
    click.confirm(question, abort=True, err=True)
