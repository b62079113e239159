"""`reconciler why`: why a resource or an execution is as it is."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.execution_view import STYLES, label, show
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import document, escape, painter
from reconciler.settings import Settings

if TYPE_CHECKING:
    from reconciler.app.why import Answer


@click.command()
@specs_option
@server_options
@output_option
@click.argument("subject", metavar="ADDRESS|EXECUTION")
def why(output: str, subject: str, **given: Any) -> int:
    """Say why an execution ended as it did or still waits, or why a resource is as it is.

    It looks at the database; of what was never applied it tells what `status` does.
    """
    answer = asyncio.run(_ask(settings_from(given), subject))
    if output == "json":
        document(_document(answer))
        return 0
    lines = [(one.about, escape(one.text)) for one in answer.said]
    if answer.execution is not None:
        one = answer.execution.summary
        status = painter(sys.stdout)(STYLES[one.status], one.status.value)
        lines.insert(0, (status, f"{one.id}  {escape(label(one))}"))
        if answer.link is not None:
            lines.append(("n8n", answer.link))
        lines.append(("more", f"reconciler executions show {one.id}"))
    elif answer.address is not None:
        lines.insert(0, ("resource", str(answer.address)))
    show(iter(lines))
    return 0


async def _ask(settings: Settings, subject: str) -> Answer:
    from reconciler.app.desk import open_desk
    from reconciler.app.why import explain

    async with open_desk(settings) as desk:
        return await explain(desk, settings, subject)


def _document(answer: Answer) -> dict[str, Any]:
    execution = answer.execution
    return {
        "format_version": "1.0",
        "execution_id": None if execution is None else execution.summary.id,
        "status": None if execution is None else execution.summary.status.value,
        "address": None if answer.address is None else str(answer.address),
        "n8n_url": answer.link,
        "said": [{"about": one.about, "text": one.text} for one in answer.said],
    }
