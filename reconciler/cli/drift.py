"""`reconciler drift`: show what was changed outside git; `--repair` puts it back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import click

from reconciler import app
from reconciler.app.planning import keep_to
from reconciler.cli.confirm import ask
from reconciler.cli.options import (
    addresses,
    output_option,
    server_options,
    settings_from,
    specs_option,
)
from reconciler.cli.output import document
from reconciler.cli.planned import show_first, show_plan
from reconciler.cli.progress import Progress
from reconciler.cli.summary import report_document, report_text
from reconciler.engine.holding import respect
from reconciler.errors import ExitCode
from reconciler.plan.change import Only, Plan
from reconciler.plan.planner import PlanOptions
from reconciler.settings import Settings


@click.command()
@specs_option
@server_options
@output_option
@click.option("--target", "targets", multiple=True, metavar="ADDRESS", help="Only this resource.")
@click.option("--repair", is_flag=True, help="Put back what was last applied.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=10.0, metavar="SECONDS")
def drift(lock_timeout: float, *, repair: bool, yes: bool, **given: Any) -> int:
    """Show what was changed outside git: in n8n or in PostgreSQL.

    Compares with what was last applied, whatever the spec files say now. Exit code 2:
    there is drift.
    """
    settings = settings_from(given)
    options = PlanOptions(only=Only.DRIFT, targets=addresses(given["targets"]))
    if repair:
        return int(asyncio.run(_repair(settings, options, lock_timeout, {**given, "yes": yes})))

    async def look() -> Plan:
        async with app.open_session(settings) as session:
            return (await session.drift(options)).plan

    plan = asyncio.run(look())
    show_plan(plan, given["output"])
    return ExitCode.OK if plan.is_empty else ExitCode.CHANGES


async def _repair(
    settings: Settings, options: PlanOptions, lock_timeout: float, given: dict[str, Any]
) -> ExitCode:
    async with app.open_session(settings, needs_key=True) as session:
        if settings.specs.is_dir():
            await session.read_secrets(app.load_specs(settings.specs))
        agreed: Plan | None = None
        if not given["yes"]:  # before the lock: an answer may take hours
            agreed = (await _look(session, options, None)).plan
            show_first(agreed, given["output"])
            if agreed.shown:
                ask("Put this back?", yes=False)
        async with session.lock("drift --repair").acquire(lock_timeout) as held:
            planned = await _look(session, options, agreed)
            if given["yes"]:
                show_first(planned.plan, given["output"])
            with Progress(planned.plan) as progress:
                report = await session.carry_out(planned, held, progress.done)
    if given["output"] == "json":
        document(report_document(report, planned.plan))
    elif report.outcomes:
        report_text(report)
    return report.exit_code


async def _look(session: app.Session, options: PlanOptions, agreed: Plan | None) -> app.Planned:
    """Plan what is to be put back; a plan that was agreed to must still be what there is to do."""
    planned = await session.drift(options)
    planned = replace(planned, plan=await respect(planned.plan, session.database))
    if agreed is None:
        return planned
    planned = keep_to(agreed, planned, agreed=True)
    return replace(planned, plan=await respect(planned.plan, session.database))
