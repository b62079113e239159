"""Progress while servers start: a spinner or a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from types import TracebackType
from typing import Any, Self

from reconciler.cli.output import is_terminal, say, wants_color

_EVERY = 5.0  # seconds between two lines where nobody sees a bar move


class Starting:
    """Shows what is being started; use it as a context manager."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._last = ("", 0.0)
        if is_terminal(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            console = Console(file=sys.stderr, no_color=not wants_color(sys.stderr))
            text = TextColumn("{task.description}", markup=False)
            columns = (SpinnerColumn(), text, BarColumn(bar_width=20))
            self._bar = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> Self:
        """Begin."""
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self.end()

    def end(self) -> None:
        """Take the bar away; may be called twice."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def progress(self, message: str, fraction: float | None) -> None:
        """Show *message*, and how far it is (0 to 1) where that is known."""
        if self._bar is not None:
            total = None if fraction is None else 1.0
            self._bar.update(
                self._task, description=message[:60], total=total, completed=fraction or 0.0
            )
            return
        now = time.monotonic()
        step = re.sub(r"[\d,.]+", "", message)  # a counter that moves is not another step
        if step != self._last[0] or now - self._last[1] > _EVERY:
            say(message if fraction is None else f"{message} ({fraction:.0%})")
            self._last = (step, now)
