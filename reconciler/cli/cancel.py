"""`reconciler executions cancel`: those that are named, or all that filters choose."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import click

from reconciler.cli.confirm import ask
from reconciler.cli.filters import filter_options, filters_from
from reconciler.cli.given import moment
from reconciler.cli.options import output_option, server_options, settings_from
from reconciler.cli.output import document, failure, result, say
from reconciler.errors import ConflictError
from reconciler.settings import Settings
from reconciler.store.executions import Cancelled, Open

_FILTERS = ("automation", "organization", "statuses", "causes", "since", "until")


@click.command()
@server_options
@output_option
@filter_options
@click.option("--since", type=moment, help="Created from then on: a time, or 2h for two hours ago.")
@click.option("--until", type=moment, help="Created before then.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.argument("ids", nargs=-1, metavar="[EXECUTION]...")
def cancel(output: str, ids: tuple[str, ...], yes: bool, **given: Any) -> int:
    """Cancel executions: at once while they wait, soon while they run.

    Those that are named, or all that the filters choose and that have not ended.
    """
    chosen = any(given[name] for name in _FILTERS)
    if bool(ids) == chosen:
        message = "name executions, or choose them with filters such as --automation NAME"
        raise click.UsageError(f"{message}{', not both' if ids else ''}")
    settings = settings_from(given)
    if ids:
        return _tell_named(output, asyncio.run(_named(settings, ids)))
    return _tell_all(output, asyncio.run(_all(settings, given, yes)))


async def _named(settings: Settings, ids: tuple[str, ...]) -> dict[str, Cancelled]:
    """Cancel each; nothing is cancelled when one of the names means none."""
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        found = [(await desk.execution(id_)).summary.id for id_ in ids]
        return {id_: await desk.cancel(id_) for id_ in dict.fromkeys(found)}


def _tell_named(output: str, outcomes: Mapping[str, Cancelled]) -> int:
    late = [id_ for id_, done in outcomes.items() if done is Cancelled.ENDED]
    have = "has" if len(late) == 1 else "have"
    error = ConflictError(
        f"{', '.join(late)} {have} ended already",
        hint=f"`reconciler executions show {late[0]}` tells how" if late else None,
    )
    if len(late) == len(outcomes):
        raise error
    if output == "json":
        many = [{"execution_id": id_, "outcome": done.value} for id_, done in outcomes.items()]
        document({"format_version": "1.0", "executions": many})
    else:
        for id_, done in outcomes.items():
            if done is Cancelled.ASKED:
                result(f"{id_} runs; its worker has been asked to stop it")
            elif done is Cancelled.DONE:
                result(f"{id_} is cancelled")
    if late:
        failure(error)
        return int(error.exit_code)
    return 0


async def _all(settings: Settings, given: Mapping[str, Any], yes: bool) -> Open:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        filters = await filters_from(desk, dict(given))
        found = await desk.count_open(filters)
        if not found.total:
            return found
        ask(f"Cancel {found.queued:,} that wait and {found.running:,} that run?", yes=yes)
        return await desk.cancel_all(filters)


def _tell_all(output: str, done: Open) -> int:
    if output == "json":
        tally = {"cancelled": done.queued, "asked": done.running}
        document({"format_version": "1.0", **tally})
    elif not done.total:
        say("nothing that waits or runs")
    else:
        result(f"{done.queued:,} cancelled")
        if done.running:
            result(f"{done.running:,} run; their workers have been asked to stop them")
    return 0
