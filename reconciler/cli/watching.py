"""`reconciler executions watch`: a live table on a terminal, a line for each step elsewhere.

Steps are told by the times in the rows, so that one which came and went between two looks is told
as well. Not here: the columns of a list.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reconciler.cli.execution_view import (
    STYLES,
    exit_code,
    label,
    list_table,
    remark,
    took,
)
from reconciler.cli.filters import filters_from
from reconciler.cli.output import document, escape, is_terminal, painter, result, say, wants_color
from reconciler.errors import DatabaseUnreachable
from reconciler.resource.json_text import json_text
from reconciler.settings import Settings
from reconciler.store.executions import Filters, Summary
from reconciler.trigger.execution import TERMINAL, Status

_PAUSE: Final = 0.5  # seconds between two looks
_PAGE: Final = 100  # executions that one look sees
_SHOWN: Final = 20  # rows of the live table
_FOLLOWED: Final = 500  # executions that have not ended and are asked for one by one
_OUTPUT: Final = 300  # characters of an output in a line


@dataclass(frozen=True, slots=True)
class Step:
    """An execution came to a status."""

    at: datetime
    status: Status
    attempt: int
    execution: Summary


def steps(one: Summary) -> Iterator[Step]:
    """Tell the way of an execution so far, as far as its row remembers it."""
    yield Step(one.created_at, Status.QUEUED, 0, one)
    if one.started_at is not None and one.attempt > 0:
        yield Step(one.started_at, Status.RUNNING, one.attempt, one)
        if one.status is Status.QUEUED:
            yield Step(one.run_at, Status.QUEUED, one.attempt, one)
    if one.status in TERMINAL:
        at = one.completed_at or one.started_at or one.created_at
        yield Step(at, one.status, one.attempt, one)


@dataclass(slots=True)
class Story:
    """What was told of each execution; tells the rest."""

    told: dict[str, set[tuple[Status, int]]] = field(default_factory=dict)
    latest: dict[str, Summary] = field(default_factory=dict)

    def news(self, found: Sequence[Summary]) -> list[Step]:
        """Tell what is new about *found*, in the order in which it happened."""
        new = []
        for one in found:
            told = self.told.setdefault(one.id, set())
            self.latest[one.id] = one
            for step in steps(one):
                if (step.status, step.attempt) not in told:
                    told.add((step.status, step.attempt))
                    new.append(step)
        order = list(Status)
        return sorted(
            new,
            key=lambda step: (step.at, step.execution.id, step.attempt, order.index(step.status)),
        )

    def open(self) -> list[str]:
        """List the executions that have not ended."""
        return [id_ for id_, one in self.latest.items() if one.status not in TERMINAL]


class _Lines:
    """Tells each step as a line."""

    def __init__(self) -> None:
        self._paint = painter(sys.stdout)

    def tell(self, new: Sequence[tuple[Step, object]], story: Story) -> None:
        del story
        for step, output in new:
            one = step.execution
            status = self._paint(STYLES[step.status], f"{step.status.value:<9}")
            parts = [f"{step.at:%H:%M:%S}.{step.at.microsecond // 1000:03}", one.id, status]
            parts += [escape(label(one)), _told(step)]
            if output is not None:
                parts.append(escape(_short(output)))
            result("  ".join(part for part in parts if part))
        sys.stdout.flush()

    def end(self) -> None:
        pass


class _JsonLines:
    """Tells each step as a JSON document on a line of its own."""

    def tell(self, new: Sequence[tuple[Step, object]], story: Story) -> None:
        del story
        for step, output in new:
            print(json_text(_step_document(step, output), ensure_ascii=False), flush=True)

    def end(self) -> None:
        pass


class _OneDocument:
    """Collects the steps and prints one document at the end."""

    def __init__(self) -> None:
        self._steps: list[dict[str, Any]] = []

    def tell(self, new: Sequence[tuple[Step, object]], story: Story) -> None:
        del story
        self._steps += [_step_document(step, output) for step, output in new]

    def end(self) -> None:
        document({"format_version": "1.0", "steps": self._steps})


class _Table:
    """Shows the latest executions on a terminal, again and again."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        color = wants_color(sys.stdout)
        self._console = Console(file=sys.stdout, no_color=not color, highlight=False)
        self._text: Callable[..., Any] = Text.from_ansi
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._shown = ""
        self._outputs: dict[str, str] = {}
        self._live.start()

    def tell(self, new: Sequence[tuple[Step, object]], story: Story) -> None:
        latest = sorted(story.latest.values(), key=lambda one: (one.created_at, one.id))
        rows = latest[-_SHOWN:][::-1]
        told = {step.execution.id: _short(output) for step, output in new if output is not None}
        known = {**self._outputs, **told}
        self._outputs = {one.id: known[one.id] for one in rows if one.id in known}
        text = "nothing new yet; Ctrl-C ends this"
        if rows:
            # Lines that scrolled away can't be drawn again; the cursor has the last one.
            text = "\n".join(live_lines(rows, self._outputs)[: self._console.height - 1])
        if text != self._shown:
            self._shown = text
            cut = self._text(text, no_wrap=True, overflow="ellipsis")
            self._live.update(cut, refresh=True)

    def end(self) -> None:
        self._live.stop()


def live_lines(rows: Sequence[Summary], outputs: Mapping[str, str]) -> list[str]:
    """Lay out *rows* with the output of each below it; too long lines are for the caller to cut."""
    paint = painter(sys.stdout)
    head, *lines = list_table(rows).split("\n")
    shown = [head]
    for one, line in zip(rows, lines, strict=False):
        shown.append(line)
        if one.id in outputs:
            shown.append(paint("dim", f"  output: {escape(outputs[one.id])}"))
    return shown


def _told(step: Step) -> str:
    one = step.execution
    match step.status:
        case Status.QUEUED if step.attempt:
            return f"again at {step.at:%H:%M:%S}"
        case Status.QUEUED:
            return f"by {one.cause.value}"
        case Status.RUNNING:
            again = f", attempt {step.attempt}" if step.attempt > 1 else ""
            run = f"n8n {one.n8n_execution_id}" if one.n8n_execution_id else ""
            return f"{run}{again}".lstrip(", ")
        case _:
            return " ".join(part for part in (took(one), remark(one)) if part)


def _short(output: object) -> str:
    text = json_text(output, ensure_ascii=False)
    return text if len(text) <= _OUTPUT else f"{text[:_OUTPUT]}…"


def _step_document(step: Step, output: object) -> dict[str, Any]:
    one = step.execution
    told: dict[str, Any] = {
        "at": step.at.isoformat(),
        "execution_id": one.id,
        "status": step.status.value,
        "attempt": step.attempt,
        "organization": one.organization,
        "automation": one.automation,
        "cause": one.cause.value,
        "trigger": one.trigger_name,
    }
    if step.status is not Status.QUEUED:
        told["n8n_execution_id"] = one.n8n_execution_id
    if step.status in TERMINAL:
        told |= {
            "milliseconds": one.milliseconds,
            "error_message": one.error_message,
            "error_node": one.error_node,
        }
    return told if output is None else {**told, "output": output}


async def watch(settings: Settings, output: str, given: dict[str, Any]) -> int:
    """Follow executions until those named have ended, the time is over or Ctrl-C."""
    from reconciler.app.desk import open_desk

    story = Story()
    limit: timedelta | None = given["seconds"]
    until = None if limit is None else time.monotonic() + limit.total_seconds()
    async with open_desk(settings) as desk:
        watcher = await _Watcher.make(desk, given)
        teller = _teller(output, lines=given["lines"])
        try:
            while True:
                found = await watcher.look(story)
                if found is not None:
                    teller.tell(await watcher.with_output(story.news(found)), story)
                if watcher.done(story) or (until is not None and time.monotonic() >= until):
                    break
                await asyncio.sleep(_PAUSE)
        finally:
            teller.end()
    named = [story.latest[id_] for id_ in watcher.ids]
    return max((exit_code(one) for one in named), default=0)


def _teller(output: str, *, lines: bool) -> _Lines | _JsonLines | _OneDocument | _Table:
    if lines:
        return _JsonLines()
    if output == "json":
        return _OneDocument()
    return _Table() if is_terminal(sys.stdout) else _Lines()


class _Watcher:
    """Looks at the database; stays when it is away for a while."""

    def __init__(self, desk: Any, ids: Sequence[str], filters: Filters) -> None:
        self._desk = desk
        self.ids = ids
        self._filters = filters
        self._away = False

    @classmethod
    async def make(cls, desk: Any, given: dict[str, Any]) -> _Watcher:
        """Check what was named; raises UsageError."""
        ids = [(await desk.execution(word)).summary.id for word in given["ids"]]
        filters = await filters_from(desk, given)
        # A little before now: what was asked for by the command before this one belongs to it.
        since = filters.since or datetime.now(UTC) - timedelta(seconds=10)
        return cls(desk, ids, replace(filters, since=since))

    async def look(self, story: Story) -> list[Summary] | None:
        """Read what may have changed; None while the database is away."""
        try:
            found = await self._read(story)
        except DatabaseUnreachable as error:
            if not self._away:
                say(f"{error}; trying again")
            self._away = True
            return None
        self._away = False
        return found

    async def _read(self, story: Story) -> list[Summary]:
        if self.ids:
            return [(await self._desk.execution(id_)).summary for id_ in self.ids]
        page = await self._desk.executions.list(self._filters, limit=_PAGE)
        found = list(page.executions)
        seen = {one.id for one in found}
        # With a status among the filters an execution drops out of the list as it goes on.
        for id_ in [id_ for id_ in story.open() if id_ not in seen][:_FOLLOWED]:
            one = await self._desk.executions.get(None, id_)
            if one is None:
                del story.latest[id_]  # removed by retention
            else:
                found.append(one.summary)
        return found

    async def with_output(self, new: Sequence[Step]) -> list[tuple[Step, object]]:
        """Add the output to the steps that have one."""
        told: list[tuple[Step, object]] = []
        for step in new:
            output = None
            if step.status is Status.SUCCESS:
                one = await self._desk.executions.get(None, step.execution.id)
                output = None if one is None else one.output
            told.append((step, output))
        return told

    def done(self, story: Story) -> bool:
        """Whether all executions that were named have ended."""
        return bool(self.ids) and not story.open() and bool(story.latest)
