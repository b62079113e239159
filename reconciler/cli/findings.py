"""Diagnostics on the way to a plan: errors stop it, warnings are said."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from reconciler.cli.output import result, say, wants_color
from reconciler.diagnostics import Diagnostic, SpecError


def require_valid(
    diagnostics: Sequence[Diagnostic], texts: Mapping[str, str], format_: str | None = None
) -> None:
    """Print all findings and raise SpecError when one of them is an error."""
    if not any(d.is_error for d in diagnostics):
        return
    from reconciler.spec import report

    if format_ is not None:
        result(report.render(diagnostics, texts, format_).rstrip("\n"))
    else:
        write_findings(diagnostics, texts)
    raise SpecError(diagnostics)


def write_findings(diagnostics: Sequence[Diagnostic], texts: Mapping[str, str]) -> None:
    """Print errors and warnings on stderr; notes are for `validate --notes`."""
    from reconciler.spec import report

    if diagnostics:
        say(report.text(diagnostics, texts, colour=wants_color(sys.stderr)).rstrip("\n"))
