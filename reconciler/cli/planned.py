"""How a plan is shown, whichever command made it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from reconciler.cli.output import is_terminal, painter, result, say
from reconciler.plan.artifact import encode
from reconciler.plan.change import Plan
from reconciler.plan.guard import Policy
from reconciler.plan.markdown import markdown as to_markdown
from reconciler.plan.render import render
from reconciler.source.write import replace_text
from reconciler.spec.link import Loaded

FORMATS = ("text", "json", "github", "gitlab", "sarif", "junit")


def policy_from(allow_remove: int | None, loaded: Loaded) -> Policy:
    """Say what may be removed; a spec folder with nothing in it removes nothing."""
    empty = "no document was found" if not loaded.resources else None
    return Policy(allow_remove=allow_remove, unreadable=empty)


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
