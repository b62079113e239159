"""`reconciler completion`: the script that completes commands in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from reconciler.cli.output import result


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script for SHELL; see the how-to for where to put it."""
    from reconciler.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    result(found(cli, {}, "reconciler", "_RECONCILER_COMPLETE").source())
    return 0
