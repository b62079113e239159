"""`reconciler plan`: show what apply would change, and what drifted; writes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from reconciler import app
from reconciler.cli.findings import require_valid
from reconciler.cli.options import (
    output_option,
    scope_options,
    server_options,
    settings_from,
    specs_option,
)
from reconciler.cli.output import say
from reconciler.cli.planned import FORMATS, planned_in, show_plan, wish_from
from reconciler.errors import ConfigError, ExitCode, UnreachableError
from reconciler.plan.change import Plan


@click.command()
@specs_option
@server_options
@scope_options
@output_option
@click.option("--out", type=click.Path(path_type=Path), help="Write the plan, for `apply FILE`.")
@click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the plan as Markdown; - is stdout."
)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="Write the plan for a CI system."
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 although there are changes.")
def plan(
    out: Path | None, markdown: Path | None, format_: str | None, *, exit_zero: bool, **given: Any
) -> int:
    """Compare specs, PostgreSQL and n8n, and show what apply would do. Changes nothing.

    Exit code 0: no changes; 2: there are changes; 5: a guard refuses some of them.
    """
    settings = settings_from(given)
    app.existing_root(settings)

    async def run() -> app.Planned:
        try:
            async with app.open_session(settings) as session:
                return await planned_in(session, wish_from(given, settings), format_)
        except (ConfigError, UnreachableError):
            loaded = app.load_specs(settings.specs)  # what is wrong with them is said first
            require_valid(loaded.diagnostics, loaded.texts, format_)
            raise

    planned = asyncio.run(run())
    if out is not None:
        from reconciler.plan.artifact import encode
        from reconciler.source.write import replace_text

        replace_text(out, encode(planned.plan))
        say(f"wrote {out}; `reconciler apply {out}` does exactly this")
    show_plan(planned.plan, given["output"], markdown=markdown, format_=format_)
    return exit_code(planned.plan, exit_zero=exit_zero)


def exit_code(made: Plan, *, exit_zero: bool = False) -> ExitCode:
    """Tell the shell what a plan says."""
    if made.refused:
        return ExitCode.REFUSED
    return ExitCode.OK if made.is_empty or exit_zero else ExitCode.CHANGES
