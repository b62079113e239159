"""`reconciler webhook refused`: which calls were not let in, and why."""

from __future__ import annotations

import asyncio
from datetime import UTC
from typing import Any

import click

from reconciler.app.webhook_calls import refused as find
from reconciler.cli.options import output_option, server_options, settings_from
from reconciler.cli.output import document, escape, result, say
from reconciler.cli.tables import Layout, fitting
from reconciler.store.refusals import MAX_REFUSALS, Refusal


@click.command()
@server_options
@output_option
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_REFUSALS),
    default=20,
    show_default=True,
    help="How many, newest first.",
)
@click.argument("automation", required=False)
def refused(output: str, automation: str | None, limit: int, **given: Any) -> int:
    """List the calls that were refused, of AUTOMATION or of all, with the reason of each."""
    found = asyncio.run(find(settings_from(given), automation, limit))
    if output == "json":
        document({"format_version": "1.0", "refused": [_document(one) for one in found]})
    elif found:
        head = ("REFUSED (UTC)", "REASON", "FROM", "AUTOMATION")
        rows = [
            (
                f"{one.received_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
                one.reason,
                one.remote_address or "-",
                _name(one),
            )
            for one in found
        ]
        result(fitting(Layout(head=head, rows=rows)))
    else:
        say("no call was refused")
    return 0


def _name(one: Refusal) -> str:
    trigger = "" if one.trigger is None else f" ({one.trigger})"
    return escape(f"{one.organization}/{one.automation}{trigger}")


def _document(one: Refusal) -> dict[str, object]:
    return {
        "received_at": one.received_at.isoformat(),
        "organization": one.organization,
        "automation": one.automation,
        "trigger": one.trigger,
        "reason": one.reason,
        "remote_address": one.remote_address,
        "body_bytes": one.body_bytes,
    }
