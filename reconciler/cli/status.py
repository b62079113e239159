"""`reconciler status`: what is recorded, in sync and healthy, and what happened last."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from reconciler import app
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import document, escape, painter, result, say
from reconciler.cli.tables import table
from reconciler.engine.status import Health, Standing, Sync, standings, unknown
from reconciler.errors import N8nError, N8nUnauthorized, N8nUnreachable
from reconciler.plan.guard import Policy
from reconciler.plan.planner import PlanOptions
from reconciler.settings import Settings

_STYLE = {
    Sync.SYNCED: "create",
    Sync.OUT_OF_SYNC: "update",
    Health.HEALTHY: "create",
    Health.DEGRADED: "remove",
    Health.MISSING: "remove",
}


@click.command()
@specs_option
@server_options
@output_option
@click.option("--kind", help="Only resources of this kind.")
def status(output: str, kind: str | None, **given: Any) -> int:
    """Show each resource: in sync with git or not, healthy or not; and the last operations."""
    settings = settings_from(given)
    found, operations, holder = asyncio.run(_look(settings))
    shown = [s for s in found if kind is None or s.address.kind == kind]
    if output == "json":
        document(_document(shown, operations, holder))
        return 0
    paint = painter(sys.stdout)
    rows = [
        (
            str(s.address),
            paint(_STYLE.get(s.sync, "dim"), s.sync),
            paint(_STYLE.get(s.health, "dim"), s.health),
            s.revision or "-",
            "" if s.sync is Sync.SYNCED else escape(s.reason),
        )
        for s in shown
    ]
    result(table(("RESOURCE", "SYNC", "HEALTH", "REVISION", "REASON"), rows))
    if operations:
        result("")
        lines = [
            (
                f"{o.started_at:%Y-%m-%d %H:%M:%S}",
                o.kind,
                f"{o.actor}@{o.host}",
                o.git_revision or "-",
                o.outcome or "running, or killed",
            )
            for o in operations
        ]
        result(table(("LAST OPERATIONS (UTC)", "KIND", "BY", "REVISION", "OUTCOME"), lines))
    if holder is not None:
        result(f"\nlocked by {holder}")
    return 0


async def _look(settings: Settings) -> tuple[tuple[Standing, ...], list[Any], Any]:
    from reconciler.store.lock import holder

    loaded = app.load_specs(settings.specs)
    async with app.open_session(settings) as session:
        operations = await session.operations(5)
        held = await holder(session.database)
        try:
            planned = await session.plan(loaded, PlanOptions(), Policy(), frozenset())
        except (N8nError, N8nUnreachable, N8nUnauthorized) as error:
            say(f"{painter(sys.stderr)('warning', 'warning:')} {escape(str(error))}")
            recorded = await session.ledger().recorded()
            return unknown(recorded, "n8n can't be asked"), operations, held
        return standings(planned.plan, planned.world), operations, held


def _document(shown: list[Standing], operations: list[Any], holder: Any) -> dict[str, Any]:
    return {
        "format_version": "1.0",
        "resources": [
            {
                "address": str(s.address),
                "sync": s.sync,
                "health": s.health,
                "reason": s.reason,
                "revision": s.revision,
                "protected": s.protected,
            }
            for s in shown
        ],
        "operations": [
            {
                "id": o.id,
                "kind": o.kind,
                "actor": o.actor,
                "host": o.host,
                "revision": o.git_revision,
                "started_at": o.started_at.isoformat(),
                "finished_at": o.finished_at.isoformat() if o.finished_at else None,
                "outcome": o.outcome,
                "summary": o.summary,
            }
            for o in operations
        ],
        "lock": None if holder is None else str(holder),
    }
