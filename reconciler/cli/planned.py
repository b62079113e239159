"""How a plan is shown, whichever command made it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler import app
from reconciler.app.planning import Wish, plan_folder
from reconciler.app.specs import Specs, read_folder
from reconciler.cli.findings import require_valid, write_findings
from reconciler.cli.options import addresses
from reconciler.cli.output import is_terminal, painter, result, say
from reconciler.plan.artifact import encode
from reconciler.plan.change import Only, Plan
from reconciler.plan.markdown import markdown as to_markdown
from reconciler.plan.planner import PlanOptions
from reconciler.plan.render import render
from reconciler.settings import Settings
from reconciler.source.write import replace_text

FORMATS = ("text", "json", "github", "gitlab", "sarif", "junit")


def wish_from(given: Mapping[str, Any], settings: Settings, saved: Plan | None = None) -> Wish:
    """Say what the flags of `plan` and `apply` ask for, or what a kept plan asked for."""
    if saved is None:
        targets, only = addresses(given["targets"]), Only.ALL
        prune, organizations = given["prune"], frozenset(given["organizations"])
    else:
        scope = saved.scope
        targets, only = scope.targets, scope.only
        prune, organizations = scope.prune, scope.organizations
    # A plan file is often in the folder itself; and files that git does not know can't change
    # what a commit declares.
    revision = app.spec_revision(settings, untracked=saved is None)
    options = PlanOptions(prune=prune, targets=targets, only=only, revision=revision)
    return Wish(options=options, allow_remove=given["allow_remove"], organizations=organizations)


async def planned_in(
    session: app.Session, wish: Wish, format_: str | None = None, *, quiet: bool = False
) -> app.Planned:
    """Plan what the spec folder asks for, and say what is to be said about the specs.

    *quiet*: it was said before; errors are said again.
    """
    app.existing_root(session.settings)
    reading = asyncio.ensure_future(asyncio.to_thread(read_folder, session.settings))
    return await planned_from(session, reading, wish, format_, quiet=quiet)


async def planned_from(
    session: app.Session,
    reading: asyncio.Future[Specs],
    wish: Wish,
    format_: str | None = None,
    *,
    quiet: bool = False,
) -> app.Planned:
    """Do the same with specs that are being read, or were."""
    planned = await plan_folder(session, reading, wish, lambda specs: _require(specs, format_))
    specs = await reading
    require_valid(planned.compiled.diagnostics, specs.texts, format_)
    if not quiet:
        write_findings(planned.compiled.diagnostics, specs.texts)
    return planned


def _require(specs: Specs, format_: str | None) -> None:
    require_valid(specs.diagnostics, specs.texts, format_)


def show_first(plan: Plan, output: str) -> None:
    """Print *plan* before it is carried out; who asks for a document gets one, of the outcome."""
    if output == "text":
        show_plan(plan, "text")


def show_plan(
    plan: Plan, output: str, *, markdown: Path | None = None, format_: str | None = None
) -> None:
    """Print *plan* on stdout, once."""
    if markdown is not None and str(markdown) != "-":
        replace_text(markdown, to_markdown(plan))
        say(f"wrote {markdown}")
    if format_ not in {None, "text", "json"}:
        from reconciler.plan.findings import findings
        from reconciler.spec import report

        result(report.render(findings(plan), {}, str(format_)).rstrip("\n"))
    elif output == "json" or format_ == "json":
        result(encode(plan).rstrip("\n"))
    elif markdown is not None and str(markdown) == "-":
        result(to_markdown(plan).rstrip("\n"))
    else:
        result(render(plan, paint=painter(sys.stdout), width=_width()).rstrip("\n"))


def _width() -> int:
    return min(shutil.get_terminal_size((80, 24)).columns, 120) if is_terminal(sys.stdout) else 80
