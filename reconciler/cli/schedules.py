"""`reconciler schedules`: what fires when, applied or still in a spec file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from reconciler.app.previews import Found, Occurrence, Preview, in_specs, upcoming
from reconciler.cli.findings import require_valid
from reconciler.cli.given import moment
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import Paint, document, escape, painter, result, say
from reconciler.cli.tables import Layout, fitting, table
from reconciler.clock import SystemClock
from reconciler.errors import UsageError
from reconciler.settings import Settings
from reconciler.store.schedule_list import ScheduleEntry

HEAD = ("SCHEDULE", "STATE", "CRON", "ZONE", "NEXT (ITS ZONE)", "LAST FIRED", "REMARK")
_YEAR_IS_CLEAR = timedelta(days=180)
_STYLES = {"active": "create", "broken": "remove", "held": "update", "new": "note"}


@click.group()
def schedules() -> None:
    """What fires when."""


@schedules.command("list")
@server_options
@output_option
@click.option("--organization", metavar="NAME", help="Only of this organization.")
@click.option("--automation", metavar="NAME", help="Only of this automation.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
def list_(output: str, limit: int, **given: Any) -> int:
    """List the applied schedules, what is due first: next and last fire, zone, state."""
    found = asyncio.run(_list(settings_from(given), limit + 1, given))
    more, found = len(found) > limit, found[:limit]
    if output == "json":
        rows = [_entry_document(one, state) for one, state in found]
        document({"format_version": "1.0", "schedules": rows, "more": more})
        return 0
    if not found:
        say("no schedules")
        return 0
    result(_table(found, SystemClock().now()))
    if more:
        say("there are more: --limit, --organization, --automation")
    return 0


async def _list(
    settings: Settings, limit: int, given: dict[str, Any]
) -> list[tuple[ScheduleEntry, str]]:
    from reconciler.app.desk import open_desk
    from reconciler.app.schedules import listed

    async with open_desk(settings) as desk:
        return await listed(desk, limit, given["organization"], given["automation"])


def _table(found: Sequence[tuple[ScheduleEntry, str]], now: datetime) -> str:
    """Lay the schedules out: all of it where there is room, on a narrow terminal what comes next."""
    paint = painter(sys.stdout)
    full = [_row(one, state, paint) for one, state in found]
    brief = [
        (*row[:4], _near(one.next_fire, one.zone, now), _near(one.last_fire, one.zone, now), row[6])
        for row, (one, _) in zip(full, found, strict=True)
    ]
    narrow = [(*row[:5], *row[6:]) for row in brief]  # without the last time
    return fitting(
        Layout(head=HEAD, rows=full),
        Layout(head=(*HEAD[:4], "NEXT", "LAST", "REMARK"), rows=brief),
        Layout(head=(*HEAD[:4], "NEXT", "REMARK"), rows=narrow, room=12),
    )


def _row(one: ScheduleEntry, state: str, paint: Paint) -> tuple[str, ...]:
    return (
        escape(one.label),
        paint(_STYLES.get(state, "dim"), state),
        escape(one.cron),
        escape(one.zone),
        _local(one.next_fire, one.zone),
        _local(one.last_fire, one.zone),
        escape(one.problem or ""),
    )


def _local(moment: datetime | None, zone: str, pattern: str = "%Y-%m-%d %H:%M:%S %z") -> str:
    if moment is None:
        return "-"
    try:
        return f"{moment.astimezone(ZoneInfo(zone)):{pattern}}"
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a hand wrote it into the row
        return f"{moment:{pattern}}"


def _near(moment: datetime | None, zone: str, now: datetime) -> str:
    """Write a time without its year where that can't be mistaken."""
    near = moment is not None and abs(moment - now) < _YEAR_IS_CLEAR
    return _local(moment, zone, "%m-%d %H:%M" if near else "%Y-%m-%d")


def _entry_document(one: ScheduleEntry, state: str) -> dict[str, Any]:
    return {
        "id": one.id,
        "schedule": one.label,
        "organization": one.organization,
        "automation": one.automation,
        "automation_id": one.automation_id,
        "name": one.name,
        "state": state,
        "problem": one.problem,
        "cron": one.cron,
        "timezone": one.zone,
        "misfire": one.misfire,
        "overlap": one.overlap,
        "jitter_seconds": one.jitter_seconds,
        "next_fire_at": None if one.next_fire is None else one.next_fire.isoformat(),
        "last_fired_at": None if one.last_fire is None else one.last_fire.isoformat(),
        "fire_count": one.count,
    }


@schedules.command("next")
@specs_option
@server_options
@output_option
@click.argument("name", metavar="NAME|FILE|CRON")
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option(
    "--after", type=moment, metavar="TIME", help="From then on, such as 2026-10-24 [default: now]."
)
@click.option("--timezone", metavar="ZONE", help="The zone of a CRON expression [default: UTC].")
@click.option("--applied", is_flag=True, help="As it is in the database, not in the specs.")
def next_(output: str, name: str, count: int, *, applied: bool, **given: Any) -> int:
    """Tell when schedules fire next, in their zone and in UTC; needs no server.

    NAME is an automation or one of its schedules (report, report.mornings, acme/report), FILE a
    spec file, CRON an expression in quotes such as "0 9 * * 1-5".
    """
    after = given["after"] or SystemClock().now()
    # No name begins with @: whoever writes @daily is told how that is written here.
    is_cron = name.strip().startswith("@") or any(letter.isspace() for letter in name.strip())
    if given["timezone"] is not None and not is_cron:
        message = "--timezone goes with a cron expression; a schedule has its own"
        raise UsageError(message)
    if is_cron:
        zone = given["timezone"] or "UTC"
        occurrences = upcoming(name.strip(), zone, after, count)
        found = [Preview(label="", cron=name.strip(), zone=zone, occurrences=occurrences)]
    elif applied:
        found = asyncio.run(_applied(settings_from(given), name, after, count))
    else:
        looked: Found = in_specs(settings_from(given), name, after, count)
        require_valid(looked.diagnostics, looked.texts)
        found = list(looked.previews)
    if output == "json":
        document({"format_version": "1.0", "schedules": [_preview_document(one) for one in found]})
    else:
        _show(found, after)
    return 0


async def _applied(settings: Settings, name: str, after: datetime, count: int) -> list[Preview]:
    from reconciler.app.desk import open_desk
    from reconciler.app.schedules import applied

    async with open_desk(settings) as desk:
        return await applied(desk, name, after, count)


def _show(found: Sequence[Preview], after: datetime) -> None:
    paint = painter(sys.stdout)
    for number, one in enumerate(found):
        if number:
            result("")
        heading = f"{paint('bold', escape(one.label))}  " if one.label else ""
        result(f"{heading}{escape(one.cron)}  {escape(one.zone)}")
        if not one.active:
            say("it is not active: nothing fires until it and its automation are")
        if one.jitter_seconds:
            say(f"each run starts up to {one.jitter_seconds:g} s later (jitter)")
        if not one.occurrences:
            result("never again")
            continue
        rows = [_line(occurrence, after) for occurrence in one.occurrences]
        result(table((f"IN {escape(one.zone)}", "UTC", "IN", "REMARK"), rows))


def _line(one: Occurrence, after: datetime) -> tuple[str, ...]:
    days, seconds = divmod(int((one.utc - after).total_seconds()), 86_400)
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    away = f"{days}d {hours}h" if days else f"{hours}h {minutes}m" if hours else f"{minutes}m"
    local = f"{one.local:%a %Y-%m-%d %H:%M %z}"
    return (local, f"{one.utc:%Y-%m-%d %H:%M}", away, one.remark or "")


def _preview_document(one: Preview) -> dict[str, Any]:
    return {
        "schedule": one.label or None,
        "cron": one.cron,
        "timezone": one.zone,
        "misfire": one.misfire,
        "overlap": one.overlap,
        "jitter_seconds": one.jitter_seconds,
        "active": one.active,
        "next": [
            {
                "local": occurrence.local.isoformat(),
                "utc": occurrence.utc.astimezone(UTC).isoformat(),
                "remark": occurrence.remark,
            }
            for occurrence in one.occurrences
        ],
    }
