"""`reconciler apply`: make PostgreSQL and n8n match the specs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from reconciler import app
from reconciler.app.planning import keep_to
from reconciler.app.source import note_applied
from reconciler.cli.confirm import ask
from reconciler.cli.options import (
    output_option,
    scope_options,
    server_options,
    settings_from,
    specs_option,
)
from reconciler.cli.output import document, say
from reconciler.cli.planned import planned_in, show_first, wish_from
from reconciler.cli.progress import Progress
from reconciler.cli.summary import report_document, report_text
from reconciler.engine.holding import respect
from reconciler.engine.outcome import Report
from reconciler.errors import ExitCode, UsageError
from reconciler.plan.artifact import decode
from reconciler.plan.change import Plan
from reconciler.settings import Settings


@click.command()
@specs_option
@server_options
@scope_options
@output_option
@click.argument("file", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--concurrency", type=click.IntRange(1, 64), help="Changes at a time [default: 8].")
@click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for another writer, such as the daemon.",
)
def apply(file: Path | None, lock_timeout: float, *, yes: bool, **given: Any) -> int:
    """Make PostgreSQL and n8n match the specs, or do exactly what the plan FILE says.

    Asks before it changes anything, unless --yes is given. Ctrl-C is safe: the next
    apply finishes what was begun.
    """
    settings = settings_from(given)
    if file is not None:
        _refuse_scope(given)
    saved = None if file is None else _read_plan(file)
    return int(asyncio.run(_apply(settings, saved, lock_timeout, {**given, "yes": yes})))


def _refuse_scope(given: dict[str, Any]) -> None:
    """A kept plan says itself what it is about."""
    for name, flag in (
        ("prune", "--prune"),
        ("targets", "--target"),
        ("allow_remove", "--allow-remove"),
        ("organizations", "--organization"),
    ):
        if given[name] not in (False, None, ()):
            message = f"{flag} can't be changed for a kept plan"
            raise UsageError(message, hint=f"make the plan with {flag}")


async def _apply(
    settings: Settings, saved: Plan | None, lock_timeout: float, given: dict[str, Any]
) -> ExitCode:
    async with app.open_session(settings, needs_key=True) as session:
        agreed: Plan | None = None
        if not given["yes"]:  # before the lock: an answer may take hours
            agreed = (await _plan(session, given, saved)).plan
            show_first(agreed, given["output"])
            if agreed.shown:
                ask("Apply these changes?", yes=False)
        lock = session.lock("apply")
        async with lock.acquire(lock_timeout, on_wait=_say_holder) as held:
            planned = await _plan(session, given, saved, agreed, quiet=not given["yes"])
            plan, kind = planned.plan, _kind(planned)
            if given["yes"]:
                show_first(plan, given["output"])
            if not plan.shown:
                report = await session.carry_out(planned, held, lambda _: None, kind)
            else:
                with Progress(plan) as progress:
                    report = await session.carry_out(planned, held, progress.done, kind)
            if kind == "apply":
                await note_applied(session.database, settings, plan.revision, report)
    _tell(report, given["output"], plan)
    return report.exit_code


def _kind(planned: app.Planned) -> str:
    """Name it in the journal: what is narrowed does not make a revision an applied one."""
    scope = planned.plan.scope
    if scope.targets is not None:
        return "apply --target"
    known = (*planned.compiled.desired, *planned.reading.recorded)
    whole = {address.organization for address in known} <= scope.organizations
    return "apply" if whole else "apply --organization"


async def _plan(
    session: app.Session,
    given: dict[str, Any],
    saved: Plan | None,
    agreed: Plan | None = None,
    *,
    quiet: bool = False,
) -> app.Planned:
    """Plan anew; a plan that was kept or agreed to must still be what one would plan now."""
    wish = wish_from(given, session.settings, saved)  # anew: what is checked out may be another one
    planned = await planned_in(session, wish, quiet=quiet)
    kept = agreed or saved
    if kept is None:
        return planned
    planned = keep_to(kept, planned, agreed=saved is None)
    return replace(planned, plan=await respect(planned.plan, session.database))


def _read_plan(file: Path) -> Plan:
    try:
        return decode(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = f"can't read the plan {file}: {error}"
        raise UsageError(message) from None


def _say_holder(holder: object) -> None:
    say(f"waiting for {holder}")


def _tell(report: Report, output: str, plan: Plan) -> None:
    if output == "json":
        document(report_document(report, plan))
        return
    if report.outcomes:
        report_text(report)
