"""`reconciler executions`: what ran, runs and waits; cancel, retry, watch."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from reconciler.cli.cancel import cancel
from reconciler.cli.execution_view import (
    details,
    exit_code,
    full_document,
    list_document,
    list_table,
    show,
)
from reconciler.cli.filters import filter_options, filters_from
from reconciler.cli.given import duration, moment
from reconciler.cli.options import output_option, server_options, settings_from
from reconciler.cli.output import document, result, say
from reconciler.cli.run import wait_for_end
from reconciler.errors import ExitCode
from reconciler.settings import Settings
from reconciler.store.executions import Execution, Page


@click.group()
def executions() -> None:
    """What ran, what runs and what waits."""


@executions.command("list")
@server_options
@output_option
@filter_options
@click.option("--since", type=moment, help="Created from then on: a time, or 2h for two hours ago.")
@click.option("--until", type=moment, help="Created before then.")
@click.option("--limit", type=click.IntRange(1, 250), default=25, show_default=True)
@click.option("--cursor", help="Go on where the page before ended: its `next`.")
def list_(output: str, limit: int, cursor: str | None, **given: Any) -> int:
    """List executions, newest first."""
    found = asyncio.run(_page(settings_from(given), given, limit, cursor))
    if output == "json":
        document(list_document(found.executions, found.cursor))
        return 0
    if not found.executions:
        say("no executions")
        return 0
    result(list_table(found.executions))
    if found.cursor is not None:
        say(f"there are more: --cursor {found.cursor}")
    return 0


async def _page(settings: Settings, given: dict[str, Any], limit: int, cursor: str | None) -> Page:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        filters = await filters_from(desk, given)
        return await desk.executions.list(filters, limit=limit, cursor=cursor)


@executions.command("show")
@server_options
@output_option
@click.argument("execution")
def show_(output: str, execution: str, **given: Any) -> int:
    """Show everything about one execution: input, output, error, attempts."""
    settings = settings_from(given)
    found, link = asyncio.run(_one(settings, execution))
    if output == "json":
        document({**full_document(found), "n8n_url": link})
    else:
        show(details(found, link))
    return 0


async def _one(settings: Settings, id_: str) -> tuple[Execution, str | None]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        found = await desk.execution(id_)
        return found, await desk.link(settings, found)


executions.add_command(cancel)


@executions.command()
@server_options
@output_option
@click.argument("execution")
@click.option("--wait", is_flag=True, help="Wait for the end; the exit code tells how it ended.")
@click.option("--timeout", type=duration, default="10m", help="How long to wait [default: 10m].")
def retry(output: str, execution: str, **given: Any) -> int:
    """Run an execution that has ended again, as a new one with the same input."""
    execution, id_, ended, link = asyncio.run(_retry(settings_from(given), execution, given))
    if ended is not None:
        if output == "json":
            document({**full_document(ended), "n8n_url": link})
        else:
            show(details(ended, link))
        return exit_code(ended.summary)
    if output == "json":
        document({"format_version": "1.0", "execution_id": id_, "retry_of": execution})
    else:
        result(f"{id_}  queued, again for {execution}")
    return int(ExitCode.OK)


async def _retry(
    settings: Settings, execution: str, given: dict[str, Any]
) -> tuple[str, str, Execution | None, str | None]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        old = (await desk.execution(execution)).summary.id
        accepted = await desk.retry(old)
        assert accepted.id is not None
        if not given["wait"]:
            return old, accepted.id, None, None
        say(f"{accepted.id} queued, waiting for its end")
        waited = await wait_for_end(desk, settings, accepted.id, given["timeout"])
        return old, accepted.id, *waited


@executions.command()
@server_options
@output_option
@filter_options
@click.argument("ids", nargs=-1, metavar="[EXECUTION]...")
@click.option("--since", type=moment, help="Begin with what was created then [default: now].")
@click.option("--for", "seconds", type=duration, help="End after this long.")
@click.option("--lines", is_flag=True, help="JSON as it happens: one document a line.")
def watch(output: str, **given: Any) -> int:
    """Watch executions go from QUEUED to their end; of those named, until all have ended.

    On a terminal the last ones are shown as a table, elsewhere each step as a line. With
    EXECUTIONs the exit code is 0 when all succeeded, 1 when one failed, 8 when one took too long.
    """
    from reconciler.cli.watching import watch as follow

    if given["lines"] and output == "json":
        message = "--lines is many documents and -o json is one: give one of them"
        raise click.UsageError(message)
    return asyncio.run(follow(settings_from(given), output, given))
