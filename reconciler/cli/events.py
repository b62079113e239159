"""`reconciler events`: send one, see what became of them, have one dispatched again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import click

from reconciler.cli.execution_view import show, snake, time, value
from reconciler.cli.given import json_given
from reconciler.cli.options import output_option, server_options, settings_from
from reconciler.cli.output import document, escape, painter, result, say
from reconciler.cli.tables import Layout, fitting, table
from reconciler.errors import UsageError
from reconciler.settings import Settings
from reconciler.store.event_records import EventFilter, EventRecord, EventState
from reconciler.store.events import Sent, Started
from reconciler.store.execution_documents import event_document, started_document

_STYLES = {
    EventState.WAITING: "update",
    EventState.DISPATCHED: "create",
    EventState.FAILED: "remove",
}

HEAD = ("EVENT", "ORGANIZATION", "TYPE", "STATE", "STARTED", "CREATED (UTC)", "ERROR")
_WIDTH = 40  # of an id or a type in a list; -o json shows all


@click.group()
def events() -> None:
    """Send events, and see what became of them."""


def organization_option(command: Any) -> Any:
    """Add --organization."""
    return click.option(
        "--organization", metavar="NAME", help="Whose event it is [default: the only one]."
    )(command)


@events.command()
@server_options
@output_option
@organization_option
@click.argument("event_type", metavar="TYPE")
@click.option(
    "--data", metavar="JSON", help="What it carries: JSON, @file or - for standard input."
)
@click.option("--id", "id_", metavar="ID", help="Sent twice, it counts once.")
def send(output: str, event_type: str, **given: Any) -> int:
    """Send an event of TYPE, such as DOCUMENT_UPLOADED or document.uploaded."""
    data = json_given(given["data"], "--data")
    if not isinstance(data, dict):
        message = "--data is an object"
        raise UsageError(message)
    sent = asyncio.run(_send(settings_from(given), event_type, data, given))
    if output == "json":
        document(
            {
                "format_version": "1.0",
                "event_id": sent.id,
                "duplicate": not sent.fresh,
                "waiting": sent.waiting,
                "error": sent.error,
                "executions": [snake(started_document(one)) for one in sent.executions],
            }
        )
        return 0
    known = "" if sent.fresh else "  known already"
    result(f"event {escape(sent.id)}{known}")
    _show_started(sent.executions)
    if sent.error is not None:
        say(f"{painter(sys.stderr)('warning', 'warning:')} {escape(sent.error)}")
    return 0


async def _send(
    settings: Settings, type_: str, data: dict[str, Any], given: dict[str, Any]
) -> Sent:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        return await desk.send(given["organization"], type_, data, given["id_"])


def _show_started(started: tuple[Started, ...]) -> None:
    if not started:
        say("it started nothing: no active trigger hears it, or filters keep it out")
        return
    rows = [
        (one.execution_id, escape(one.automation), escape(one.trigger or ""), one.status)
        for one in started
    ]
    result(table(("EXECUTION", "AUTOMATION", "TRIGGER", "STATUS"), rows))


@events.command("list")
@server_options
@output_option
@organization_option
@click.option("--type", "type_", metavar="TYPE", help="Only of this type.")
@click.option(
    "--state",
    type=click.Choice([state.value for state in EventState]),
    help="waiting: for the dispatcher or for room; failed: with an error.",
)
@click.option("--limit", type=click.IntRange(1, 250), default=25, show_default=True)
def list_(output: str, limit: int, **given: Any) -> int:
    """List events, newest first, with what went wrong."""
    found = asyncio.run(_list(settings_from(given), limit, given))
    if output == "json":
        rows = [snake(event_document(one)) for one in found]
        document({"format_version": "1.0", "events": rows})
        return 0
    if not found:
        say("no events")
        return 0
    result(list_table(found))
    return 0


def list_table(found: Sequence[EventRecord]) -> str:
    """Lay the events out; on a narrow terminal ids stay whole, as `events show` takes no less."""
    paint = painter(sys.stdout)
    rows = [_row(one, paint) for one in found]

    def only(*columns: int, room: int = 20) -> Layout:
        picked = [[line[n] for n in columns] for line in (HEAD, *rows)]
        return Layout(head=picked[0], rows=picked[1:], room=room, cut=1)

    return fitting(
        only(0, 1, 2, 3, 4, 5, 6),
        only(0, 2, 3, 4, 5, 6),  # without the organization
        only(0, 2, 3, 5, 6, room=12),  # and without how many it started
        only(0, 2, 3, 6, room=12),  # the list is in the order of time anyway
    )


def _row(one: EventRecord, paint: Any) -> tuple[str, ...]:
    return (
        _cut(one.id),
        _cut(one.organization),
        _cut(one.type),
        paint(_STYLES[one.state], one.state.value),
        str(one.executions),
        f"{one.created_at:%m-%d %H:%M:%S}",
        escape(one.error or ""),
    )


def _cut(text: str) -> str:
    """Keep a text that a producer chose from pushing the other columns away."""
    return escape(text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…")


async def _list(settings: Settings, limit: int, given: dict[str, Any]) -> list[EventRecord]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        name = given["organization"]
        home = None if name is None else (await desk.organization(name)).id
        state = given["state"]
        wanted = EventFilter(
            organization_id=home,
            type=given["type_"],
            state=None if state is None else EventState(state),
            limit=limit,
        )
        return await desk.records.page(wanted)


@events.command("show")
@server_options
@output_option
@organization_option
@click.argument("event")
def show_(output: str, event: str, **given: Any) -> int:
    """Show an event with its data and what it started."""
    found, started = asyncio.run(_one(settings_from(given), event, given["organization"]))
    if output == "json":
        rows = [snake(started_document(one)) for one in started]
        full = snake(event_document(found, data=True))
        document({"format_version": "1.0", **full, "started": rows})
        return 0
    state = painter(sys.stdout)(_STYLES[found.state], found.state.value)
    lines = [
        ("event", escape(found.id)),
        ("type", escape(found.type)),
        ("organization", escape(found.organization)),
        ("state", state),
        ("created", time(found.created_at)),
        ("sent by", escape(found.sent_by or "an INSERT")),
        ("error", escape(found.error or "")),
        ("data", value(found.data)),
    ]
    show((name, text) for name, text in lines if text)
    _show_started(tuple(started))
    return 0


async def _one(
    settings: Settings, id_: str, organization: str | None
) -> tuple[EventRecord, list[Started]]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        home = None if organization is None else (await desk.organization(organization)).id
        found = await desk.records.get(home, id_)
        if found is None:
            message = f'there is no event "{id_}"'
            raise UsageError(message, hint="`reconciler events list` shows the last ones")
        return found, await desk.events.started(found.organization_id, id_)


@events.command()
@server_options
@output_option
@organization_option
@click.argument("event")
def retry(output: str, event: str, **given: Any) -> int:
    """Have an event dispatched again; what it started already is not started twice."""
    found, started = asyncio.run(_again(settings_from(given), event, given["organization"]))
    if output == "json":
        rows = [snake(started_document(one)) for one in started]
        document({"format_version": "1.0", **snake(event_document(found)), "started": rows})
    else:
        result(f"event {escape(event)} is {found.state.value}")
        _show_started(tuple(started))
        if found.error is not None:
            say(f"{painter(sys.stderr)('warning', 'warning:')} {escape(found.error)}")
    return 0


async def _again(
    settings: Settings, id_: str, organization: str | None
) -> tuple[EventRecord, list[Started]]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        return await desk.dispatch_again(organization, id_)
