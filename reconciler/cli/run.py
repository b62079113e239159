"""`reconciler run`: run an automation by hand, and wait for it if asked."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.execution_view import details, exit_code, full_document, show
from reconciler.cli.given import duration, json_given
from reconciler.cli.options import output_option, server_options, settings_from
from reconciler.cli.output import document, result, say
from reconciler.errors import ExitCode, UsageError
from reconciler.settings import Settings
from reconciler.store.executions import Execution
from reconciler.trigger.execution import TERMINAL, Accepted

if TYPE_CHECKING:
    from reconciler.app.desk import Desk


@click.command()
@server_options
@output_option
@click.argument("name")
@click.option(
    "--input",
    "given_input",
    metavar="JSON",
    help="What the workflow gets: JSON, @file or - for standard input [default: {}].",
)
@click.option("--trigger", metavar="NAME", help="The trigger that it stands for.")
@click.option("--key", metavar="TEXT", help="Run once, however often it is asked with this key.")
@click.option("--wait", is_flag=True, help="Wait for the end; the exit code tells how it ended.")
@click.option("--timeout", type=duration, default="10m", help="How long to wait [default: 10m].")
def run(**given: Any) -> int:
    """Run the automation NAME, such as invoice-intake or acme/invoice-intake.

    With --wait the exit code is 0 when it succeeded, 1 when it failed or was cancelled, 8 when it
    took too long.
    """
    data = json_given(given["given_input"], "--input")
    if not isinstance(data, dict) and not (
        isinstance(data, list) and all(isinstance(item, dict) for item in data)
    ):
        message = "--input is one object, or a list of objects"
        raise UsageError(message)
    settings = settings_from(given)
    accepted, ended, link = asyncio.run(_run(settings, data, given))
    as_json = given["output"] == "json"
    if ended is None:
        if as_json:
            document(_accepted_document(accepted))
        else:
            word = "queued" if accepted.fresh else "known already"
            result(f"{accepted.id}  {word}")
            say(f"`reconciler executions watch {accepted.id}` follows it")
        return int(ExitCode.OK)
    if as_json:
        document({**full_document(ended), "n8n_url": link})
    else:
        show(details(ended, link))
    return exit_code(ended.summary)


async def _run(
    settings: Settings, data: Any, given: dict[str, Any]
) -> tuple[Accepted, Execution | None, str | None]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        accepted = await desk.run(given["name"], data, given["trigger"], given["key"])
        assert accepted.id is not None
        if not given["wait"]:
            return accepted, None, None
        word = "queued" if accepted.fresh else "known already"
        say(f"{accepted.id} {word}, waiting for its end")
        return accepted, *await wait_for_end(desk, settings, accepted.id, given["timeout"])


async def wait_for_end(
    desk: Desk, settings: Settings, id_: str, timeout: timedelta
) -> tuple[Execution | None, str | None]:
    """Wait for the end of an execution; give it as it then is, and where n8n shows it."""
    try:
        ended = await desk.executions.wait_result(id_, timeout.total_seconds())
    except asyncio.CancelledError:  # by Ctrl-C, which ends the waiting and nothing else
        say(f"{id_} goes on; `reconciler executions cancel {id_}` ends it")
        raise
    if ended is None:
        return None, None
    if ended.summary.status not in TERMINAL:
        say(f"it has not ended: `reconciler executions watch {id_}` follows it")
    return ended, await desk.link(settings, ended)


def _accepted_document(accepted: Accepted) -> dict[str, Any]:
    return {
        "format_version": "1.0",
        "execution_id": accepted.id,
        "status": None if accepted.status is None else accepted.status.value,
        "duplicate": not accepted.fresh,
    }
