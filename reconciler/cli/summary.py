"""The end of an apply: applied, failed, not attempted; never less than happened."""

from __future__ import annotations

import sys
from typing import Any

from reconciler.cli.output import escape, painter, result, say
from reconciler.engine.outcome import Outcome, Report, State
from reconciler.plan.artifact import digest_of
from reconciler.plan.change import Plan


def report_text(report: Report) -> None:
    """Print what failed and why, then the line that counts."""
    paint = painter(sys.stderr)
    for (state, message, hint), outcomes in _alike(report).items():
        style = "error" if state is State.FAILED else "blocked"
        first = outcomes[0]
        head = f"{paint(style, state.value)}: {first.action} {first.address}"
        more = len(outcomes) - 1
        head += f" and {more} more" if more else ""
        say(f"{head}: {escape(message)}" if message else head)
        if hint:
            say(f"  {paint('help', 'help:')} {escape(hint)}")
    if report.interrupted:
        say(paint("warning", "interrupted; the next apply finishes what was begun"))
    result(_line(report))


def _alike(report: Report) -> dict[tuple[State, str | None, str | None], list[Outcome]]:
    """Group what was not applied by the same cause, so that one cause is one line."""
    groups: dict[tuple[State, str | None, str | None], list[Outcome]] = {}
    for outcome in report.outcomes:
        if outcome.state is not State.APPLIED:
            hint = outcome.error.hint if outcome.error else None
            groups.setdefault((outcome.state, outcome.message, hint), []).append(outcome)
    return groups


def _line(report: Report) -> str:
    parts = [
        f"{report.count(State.APPLIED)} applied",
        f"{report.count(State.FAILED)} failed",
        f"{report.count(State.NOT_ATTEMPTED)} not attempted",
    ]
    blocked = report.count(State.BLOCKED)
    return "Apply: " + ", ".join([*parts, f"{blocked} blocked"] if blocked else parts) + "."


def report_document(report: Report, plan: Plan) -> dict[str, Any]:
    """Give the same as one JSON document."""
    return {
        "format_version": "1.0",
        "plan_digest": digest_of(plan),
        "interrupted": report.interrupted,
        "summary": {state.value: report.count(state) for state in State},
        "outcomes": [
            {
                "address": str(outcome.address),
                "action": outcome.action,
                "state": outcome.state.value,
                "message": outcome.message,
                "hint": outcome.error.hint if outcome.error else None,
            }
            for outcome in report.outcomes
        ],
        "stopped": str(report.stopped) if report.stopped else None,
    }
