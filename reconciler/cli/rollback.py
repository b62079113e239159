"""`reconciler rollback`: go back to a revision that was applied, and stay there."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import click

from reconciler import app
from reconciler.app.rollback import applied, plan_rollback, settle, stay
from reconciler.cli.confirm import ask
from reconciler.cli.hold import lasting
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import document, result, say
from reconciler.cli.planned import show_first
from reconciler.cli.progress import Progress
from reconciler.cli.summary import report_document, report_text
from reconciler.cli.tables import table
from reconciler.engine.outcome import Report
from reconciler.errors import ExitCode
from reconciler.plan.change import Plan
from reconciler.settings import Settings


@click.command()
@specs_option
@server_options
@output_option
@click.argument("revision", required=False)
@click.option("--list", "listing", is_flag=True, help="Name the revisions that were applied.")
@click.option("--reason", default="no reason given", help="Why; shown while it lasts.")
@click.option("--until", help="2h, 3d, a moment: then newer commits apply again [default: never].")
@click.option("--prune", is_flag=True, help="Remove what that revision does not declare.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=10.0, metavar="SECONDS")
def rollback(revision: str | None, until: str | None, *, listing: bool, **given: Any) -> int:
    """Go back to REVISION, which was applied before [default: the one before the present].

    It is sticky: newer commits wait until `reconciler unhold /`, and that needs another
    newest commit than the one that was rolled back.
    """
    settings = settings_from(given)
    if listing:
        return asyncio.run(_list(settings, given["output"]))
    _lasting(until)  # a mistake in it is told before anything else
    return int(asyncio.run(_rollback(settings, revision, until, given)))


async def _list(settings: Settings, output: str) -> int:
    async with app.open_session(settings, needs_n8n=False) as session:
        found = await applied(session)
    if output == "json":
        rows = [{"revision": one.revision, "at": one.at.isoformat()} for one in found]
        document({"format_version": "1.0", "applied": rows})
    elif found:
        lines = [(one.revision, f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor) for one in found]
        result(table(("REVISION", "APPLIED (UTC)", "BY"), lines))
    else:
        say("no revision was applied yet")
    return 0


async def _rollback(
    settings: Settings, revision: str | None, until: str | None, given: dict[str, Any]
) -> ExitCode:
    async with app.open_session(settings, needs_key=True) as session:
        prune, agreed = given["prune"], None
        if not given["yes"]:  # before the lock: an answer may take hours
            asked = await plan_rollback(session, revision, prune=prune)
            revision, agreed = asked.sighting.name, asked.planned.plan
            show_first(agreed, given["output"])
            ask(f"Go back to {revision}, and stay there?", yes=False)
        lock = session.lock("rollback")
        waiting = given["lock_timeout"]
        async with lock.acquire(waiting, on_wait=lambda h: say(f"waiting for {h}")) as held:
            back = await plan_rollback(session, revision, prune=prune, agreed=agreed)
            plan = back.planned.plan
            if given["yes"]:
                show_first(plan, given["output"])
            # Only now: the hold counts from here, however long the answer and the lock took.
            await stay(session, back, given["reason"], _lasting(until))
            with Progress(plan) as progress:
                report = await session.carry_out(back.planned, held, progress.done, "rollback")
            await settle(session, back, report)
    _tell(report, plan, given["output"])
    return report.exit_code


def _lasting(until: str | None) -> timedelta | None:
    return None if until is None else lasting(until)


def _tell(report: Report, plan: Plan, output: str) -> None:
    if output == "json":
        document(report_document(report, plan))
        return
    if report.outcomes:
        report_text(report)
    result(f"Rolled back to {plan.revision}. Newer commits wait until `reconciler unhold /`.")
