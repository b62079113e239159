"""How executions look on a terminal and as the command line's JSON documents."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from reconciler.cli.output import Paint, escape, painter, result
from reconciler.cli.tables import Layout, fitting
from reconciler.errors import ExitCode
from reconciler.resource.json_text import json_text
from reconciler.store.execution_documents import execution_document, summary_document
from reconciler.store.executions import Execution, Summary
from reconciler.trigger.execution import Status

STYLES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "dim",
    Status.RUNNING: "note",
    Status.SUCCESS: "create",
    Status.FAILED: "remove",
    Status.TIMEOUT: "remove",
    Status.CANCELLED: "update",
}
HEAD: Final = ("EXECUTION", "AUTOMATION", "STATUS", "BY", "CREATED (UTC)", "TOOK", "REMARK")
SHORT_ID: Final = 10  # signs of an id that tell it from millions of others
_HUMP: Final = re.compile(r"(?<=[a-z0-9])[A-Z]")
_DATA: Final = frozenset({"triggerData", "output", "metadata", "data"})
_LINES: Final = 40  # of a value that is shown
_CODES: Final = {Status.SUCCESS: ExitCode.OK, Status.TIMEOUT: ExitCode.TIMEOUT}
_NOT_ENDED: Final = frozenset({Status.QUEUED, Status.RUNNING})


def exit_code(one: Summary) -> int:
    """Tell the shell how an execution ended; not ended: it took too long."""
    if one.status in _NOT_ENDED:
        return int(ExitCode.TIMEOUT)
    return int(_CODES.get(one.status, ExitCode.UNEXPECTED))


def snake(document: Mapping[str, Any]) -> dict[str, Any]:
    """Rename our own keys as the command line writes them; what workflows said stays as it is."""
    renamed = {}
    for key, value in document.items():
        kept: Any = value
        if key not in _DATA and isinstance(value, list):
            kept = [snake(item) if isinstance(item, dict) else item for item in value]
        renamed[_HUMP.sub(lambda hump: f"_{hump[0].lower()}", key)] = kept
    return renamed


def full_document(one: Execution) -> dict[str, Any]:
    """Describe an execution for `-o json`."""
    return {"format_version": "1.0", **snake(execution_document(one, data=True))}


def list_document(found: Sequence[Summary], cursor: str | None) -> dict[str, Any]:
    """Describe a page for `-o json`."""
    rows = [snake(summary_document(one, data=True)) for one in found]
    return {"format_version": "1.0", "executions": rows, "next": cursor}


def label(one: Summary) -> str:
    """Name the automation as people do."""
    return f"{one.organization}/{one.automation}" if one.organization else one.automation


def took(one: Summary) -> str:
    """Write how long it took."""
    return "" if one.milliseconds is None else duration(one.milliseconds)


def duration(milliseconds: float) -> str:
    """Write a duration for people: 412 ms, 3.1 s, 2 m 5 s."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} m {seconds % 60:.0f} s"


def remark(one: Summary) -> str:
    """Say in one line what is worth knowing beyond the columns."""
    parts = []
    if one.attempt > 1 or one.retry_count:
        parts.append(f"attempt {one.attempt} of {one.max_attempts}")
    if one.cancel_requested_at is not None and one.status is Status.RUNNING:
        parts.append("is being cancelled")
    if one.retry_of:
        parts.append(f"again for {one.retry_of}")
    if one.error_message:
        where = f"{one.error_node}: " if one.error_node else ""
        parts.append(f"{where}{one.error_message}")
    return escape(" ".join("; ".join(parts).split()))


def list_table(found: Sequence[Summary]) -> str:
    """Lay out a page: all of it where there is room, on a narrow terminal what matters most.

    The beginning of an id is good enough for the commands that take one.
    """
    paint = painter(sys.stdout)
    full = [_row(one, paint) for one in found]
    brief = [(row[0][:SHORT_ID], *row[1:]) for row in full]
    narrow = [(*row[:3], *row[4:]) for row in brief]  # without what it was started by
    return fitting(
        Layout(head=HEAD, rows=full),
        Layout(head=HEAD, rows=brief),
        Layout(head=(*HEAD[:3], *HEAD[4:]), rows=narrow, room=12, cut=1),
    )


def _row(one: Summary, paint: Paint) -> tuple[str, ...]:
    return (
        one.id,
        escape(label(one)),
        paint(STYLES[one.status], one.status.value),
        one.cause.value,
        f"{one.created_at:%m-%d %H:%M:%S}",
        took(one),
        remark(one),
    )


def details(one: Execution, link: str | None) -> Iterator[tuple[str, str]]:
    """Yield everything worth showing of one execution, as names and values."""
    summary = one.summary
    yield "execution", summary.id
    yield "automation", escape(label(summary))
    paint = painter(sys.stdout)
    yield "status", paint(STYLES[summary.status], summary.status.value)
    by = summary.trigger_name
    yield "started by", summary.cause.value + (f', trigger "{escape(by)}"' if by else "")
    yield "created", time(summary.created_at)
    if summary.scheduled_for is not None:
        yield "due", time(summary.scheduled_for)
    if summary.started_at is not None:
        yield "started", time(summary.started_at)
    if summary.completed_at is not None:
        yield "ended", f"{time(summary.completed_at)}, took {took(summary) or 'no time'}"
    if summary.revision is not None:
        yield "revision", summary.revision
    if summary.n8n_execution_id is not None:
        yield "n8n", link or f"execution {summary.n8n_execution_id}"
    for attempt in one.attempts if len(one.attempts) > 1 or summary.retry_count else ():
        ended = attempt.outcome or "runs"
        why = f": {attempt.error}" if attempt.error else ""
        yield f"attempt {attempt.attempt}", f"{time(attempt.started_at)}  {ended}{escape(why)}"
    if summary.error_message is not None:
        where = f'node "{summary.error_node}": ' if summary.error_node else ""
        yield "error", escape(f"{where}{summary.error_message}")
    if summary.retry_of is not None:
        yield "again for", summary.retry_of
    yield "input", value(one.trigger_data)
    if one.output is not None:
        yield "output" + (" (cut)" if one.output_truncated else ""), value(one.output)


def show(lines: Iterator[tuple[str, str]]) -> None:
    """Print names and values below each other."""
    for name, text in lines:
        first, *rest = text.split("\n") or [""]
        result(f"{name:<13}{first}".rstrip())
        for line in rest:
            result(f"{'':<13}{line}")


def value(data: object) -> str:
    """Write JSON, short values on one line, long ones cut."""
    short = json_text(data, ensure_ascii=False)
    if len(short) <= 80:
        return escape(short)
    lines = json_text(data, ensure_ascii=False, indent=2).split("\n")
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... {len(lines) - _LINES} more lines; -o json shows all"]
    return "\n".join(escape(line[:500]) for line in lines)


def time(moment: datetime) -> str:
    """Write a time in UTC, to the millisecond."""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"
