"""`reconciler status`: what is recorded, in sync and healthy, and what happened last."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from reconciler import app
from reconciler.app.standing import Status, look
from reconciler.cli.hold import hold_document, holds_table
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import document, escape, painter, result, say
from reconciler.cli.tables import table
from reconciler.engine.status import Health, Standing, Sync
from reconciler.kinds.registry import KINDS
from reconciler.plan.change import Reason
from reconciler.resource.payload import Object
from reconciler.settings import Settings
from reconciler.store.operations import Operation
from reconciler.store.sources import SourceState

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
@click.option(
    "--kind",
    type=click.Choice(sorted(KINDS)),
    help="Only resources of this kind.",
)
def status(output: str, kind: str | None, **given: Any) -> int:
    """Show each resource: in sync with git or not, healthy or not; holds, and what happened last."""
    found = asyncio.run(_look(settings_from(given)))
    shown = [s for s in found.standings if kind is None or s.address.kind == kind]
    if output == "json":
        document(_document(shown, found))
        return 0
    if found.trouble is not None:
        say(f"{painter(sys.stderr)('warning', 'warning:')} {escape(found.trouble)}")
    _resources(shown)
    _specs(found.source)
    if found.holds:
        result("\n" + holds_table(found.holds))
    _operations(found.operations)
    if found.lock is not None:
        result(f"\nlocked by {found.lock}")
    return 0


async def _look(settings: Settings) -> Status:
    async with app.open_session(settings) as session:
        return await look(session)


def _resources(shown: list[Standing]) -> None:
    paint = painter(sys.stdout)
    rows = [
        (
            str(s.address),
            paint(_STYLE.get(s.sync, "dim"), s.sync),
            paint(_STYLE.get(s.health, "dim"), s.health),
            s.revision or "-",
            escape(s.reason) if s.reason != Reason.IN_SYNC.value else "",
        )
        for s in shown
    ]
    result(table(("RESOURCE", "SYNC", "HEALTH", "REVISION", "REASON"), rows))


def _specs(source: SourceState) -> None:
    """Say what the daemon follows, if one ever did."""
    if not source.place:
        return
    paint = painter(sys.stdout)
    result(f"\nspecs from {escape(source.place)}")
    result(f"  last attempted  {escape(source.seen or '-')}")
    result(f"  last applied    {escape(source.applied or '-')}{_at(source.applied_at)}")
    if source.problem is not None:
        since = _at(source.problem_at)
        result(f"  {paint('error', 'does not apply')}  {escape(source.problem)}{since}")
    if source.rewritten_from is not None:
        note = f"{source.rewritten_from} was applied and is no longer in it: nothing is removed"
        result(f"  {paint('warning', 'history rewritten')}  {escape(note)}")


def _operations(operations: Sequence[Operation]) -> None:
    if operations:
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
        result("\n" + table(("LAST OPERATIONS (UTC)", "KIND", "BY", "REVISION", "OUTCOME"), lines))


def _at(moment: datetime | None) -> str:
    return f" ({moment:%Y-%m-%d %H:%M:%S} UTC)" if moment else ""


def _shown(condition: Object) -> dict[str, Any]:
    """Leave out the digests: they mean nothing to anybody else."""
    return {key: value for key, value in condition.items() if key not in {"spec", "live"}}


def _document(shown: list[Standing], found: Status) -> dict[str, Any]:
    source = found.source
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
                "conditions": [_shown(c) for c in found.conditions.get(s.address, ())],
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
            for o in found.operations
        ],
        "holds": [hold_document(hold) for hold in found.holds],
        "source": {
            "place": source.place,
            "attempted": source.seen,
            "problem": source.problem,
            "good": source.good,
            "applied": source.applied,
            "applied_at": source.applied_at.isoformat() if source.applied_at else None,
            "rewritten_from": source.rewritten_from,
        },
        "lock": None if found.lock is None else str(found.lock),
    }
