"""A plan as findings at the lines that cause it, for CI systems that annotate files."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.plan.change import Plan


def findings(plan: Plan) -> tuple[Diagnostic, ...]:
    """Say each change as a note, each drift and each blocked change as a warning."""
    return tuple(_findings(plan))


def _findings(plan: Plan) -> Iterator[Diagnostic]:
    for change in plan.shown:
        mark = change.desired.mark if change.desired else None
        text = f"{change.action.value} {change.address}: {change.why}"
        if change.blocked is not None:
            message = f"{text}; blocked: {change.blocked}"
            yield Diagnostic(Severity.WARNING, "PLN102", message, mark)
        else:
            yield Diagnostic(Severity.NOTE, "PLN101", text, mark)
    marks = {change.address: change.desired.mark for change in plan.changes if change.desired}
    for drift in plan.drift:
        message = f"{drift.address} drifted: {drift.reason.value}"
        yield Diagnostic(Severity.WARNING, "PLN103", message, marks.get(drift.address))
