"""Progress of an apply: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from reconciler.cli.output import escape, is_terminal, painter, say, wants_color
from reconciler.engine.outcome import Outcome, State
from reconciler.plan.change import Plan

_MARK = {State.APPLIED: ("create", "done"), State.FAILED: ("error", "failed")}


class Progress:
    """Shows each outcome as it comes; use it as a context manager."""

    def __init__(self, plan: Plan) -> None:
        self._total = len(plan.shown)
        self._ended = 0
        self._paint = painter(sys.stderr)
        self._bar = None
        if is_terminal(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            console = Console(file=sys.stderr, no_color=not wants_color(sys.stderr))
            columns = (TextColumn("Applying"), BarColumn(), MofNCompleteColumn())
            self._bar = Bar(*columns, TimeElapsedColumn(), console=console, transient=True)
            self._task = self._bar.add_task("apply", total=self._total)

    def __enter__(self) -> Self:
        """Begin; something is seen at once."""
        if self._bar is None and self._total:
            say(f"applying {self._total} change{'s' if self._total != 1 else ''}")
        elif self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; the bar leaves no trace."""
        if self._bar is not None:
            self._bar.stop()

    def done(self, outcome: Outcome) -> None:
        """Show one outcome; what was not attempted is said once, in the summary."""
        self._ended += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        if outcome.state is State.NOT_ATTEMPTED:
            return
        style, word = _MARK.get(outcome.state, ("dim", outcome.state.value))
        line = f"{self._paint(style, f'{word:<6}')} {outcome.action} {outcome.address}"
        if outcome.message:
            line += f": {escape(outcome.message)}"
        if self._bar is None:
            say(f"[{self._ended}/{self._total}] {line}")
        elif outcome.state is State.FAILED:
            self._bar.console.print(line, markup=False, highlight=False)
