"""A plan in the words that people read, before it becomes text or Markdown.

Workflow changes go by node name, code as a text diff, nodes that only moved as
a number; what drifted is shown with the drift and only counted in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.plan.change import Action, Change, Drift, Plan, Reason
from reconciler.plan.detail import Detail, field_details
from reconciler.plan.diff import MISSING, Cause, FieldChange, refreshed, same
from reconciler.plan.nodes import link_details, node_details
from reconciler.plan.words import clean, plural, shorten
from reconciler.resource.payload import Payload, references

SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "~",
    Action.REMOVE: "-",
    Action.FORGET: "-",
    Action.DISCARD: "-",
    Action.ADOPT: "=",
    Action.MOVE: ">",
}
LEGEND = {
    "+": "create",
    "~": "update",
    "-": "remove",
    "!": "blocked",
    "=": "adopt",
    ">": "move",
}
_NODES = ("n8n", "nodes")
_LINKS = ("n8n", "connections")
_MANY = 200  # characters of a list of names in one note


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One resource in a section."""

    sign: str
    address: str
    action: str
    why: str
    details: tuple[Detail, ...] = ()
    blocked: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Everything that is shown of a plan, in order."""

    drift: tuple[Item, ...]
    planned: tuple[Item, ...]
    undeclared: tuple[str, ...]
    unchanged: int
    summary: str

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """The signs in use and what they mean."""
        used = {item.sign for item in self.planned}
        return tuple((sign, word) for sign, word in LEGEND.items() if sign in used)


def outline(plan: Plan) -> Outline:
    """Say what people should see of *plan*."""
    busy = {c.address for c in plan.shown if c.action is not Action.DISCARD}
    shown = [c for c in plan.shown if c.action is not Action.DISCARD or c.address not in busy]
    return Outline(
        drift=tuple(_drift_item(drift) for drift in plan.drift),
        planned=tuple(_item(change) for change in shown),
        undeclared=tuple(clean(str(address)) for address in plan.undeclared),
        unchanged=len(plan.unchanged),
        summary=summary(plan),
    )


def summary(plan: Plan) -> str:
    """Give the last line of every plan."""
    if plan.is_empty:
        return "No changes."
    counts = plan.counts()
    parts = [f"{counts.get('create', 0)} to create", f"{counts.get('update', 0)} to update"]
    parts += [f"{counts[w]} to {w}" for w in ("replace", "adopt", "move") if counts.get(w)]
    parts += [f"{counts.get('remove', 0)} to remove"]
    parts += [f"{counts['discard']} to discard"] if counts.get("discard") else []
    return f"Plan: {', '.join(parts)}, {counts.get('blocked', 0)} blocked."


def _drift_item(drift: Drift) -> Item:
    gone = drift.reason in {Reason.VANISHED, Reason.ROW_VANISHED}
    return Item(
        sign="-" if gone and not drift.fields else "~",
        address=clean(str(drift.address)),
        action="drift",
        why=drift.reason.value,
        details=tuple(describe(drift.fields)),
    )


def _item(change: Change) -> Item:
    return Item(
        sign="!" if change.blocked is not None else SIGNS[change.action],
        address=clean(str(change.address)),
        action=change.action.value,
        why=clean(change.why),
        details=tuple(_details(change)),
        blocked=None if change.blocked is None else clean(change.blocked),
    )


def _details(change: Change) -> Iterable[Detail]:
    match change.action:
        case Action.CREATE:
            payload = change.desired.payload if change.desired else {}
            yield from _contents(payload, str(change.address))
        case Action.DISCARD:
            old = change.observed.object_id if change.observed else None
            yield Detail(label=f"deletes the replaced object {clean(str(old))} in n8n")
        case Action.REPLACE:
            yield Detail(label="n8n gets a new object; the old one is deleted at the end")
            yield from _changed(change)
        case Action.ADOPT:
            found = change.observed.object_id if change.observed else None
            yield Detail(label=f"takes the object {clean(str(found))} in n8n")
            yield from _changed(change)
        case _:
            yield from _changed(change)


def _contents(payload: Payload, own: str) -> Iterable[Detail]:
    """Say in a line or two what a new resource is made of."""
    side = payload.get("n8n")
    nodes = side.get("nodes") if isinstance(side, dict) else None
    if isinstance(nodes, dict) and nodes:
        names = shorten(clean(", ".join(nodes)), _MANY)
        yield Detail(label=f"{plural(len(nodes), 'node')}: {names}")
    used = sorted({str(r.address) for r in references(payload)} - {own})
    if used:
        yield Detail(label=f"refers to {shorten(clean(', '.join(used)), _MANY)}")


def _changed(change: Change) -> Iterable[Detail]:
    fields = list(change.fields)
    if change.reason is Reason.ROW_VANISHED:
        rows = [f for f in fields if f.path[0] == "row" and f.before is MISSING]
        fields = [f for f in fields if f not in rows]
        yield Detail(label="the row is written again, with its old id")
    linked = [f for f in fields if _is_relinked(f)]
    drifted = [f for f in fields if f.cause is Cause.DRIFT]
    rest = [f for f in fields if f not in linked and f.cause is not Cause.DRIFT]
    yield from describe(rest)
    if linked:
        found = {
            str(r.address) for f in linked if f.after is not MISSING for r in references(f.after)
        }
        yield Detail(label=f"linked anew to {clean(', '.join(sorted(found)))}")
    if drifted:
        count = plural(len(drifted), "field")
        yield Detail(label=f"puts back {count} that changed outside git (above)")


def _is_relinked(change: FieldChange) -> bool:
    worn = not same(change.before, change.after)
    return worn and same(refreshed(change.before), change.after)


def describe(fields: Sequence[FieldChange]) -> Iterable[Detail]:
    """Describe field changes, nodes of a workflow by their names."""
    plain = [f for f in fields if f.path[:2] not in {_NODES, _LINKS}]
    by_place: dict[tuple[str, ...], list[FieldChange]] = {}
    for change in plain:
        by_place.setdefault(change.path[1:], []).append(change)
    for group in by_place.values():
        first, *others = group
        alike = all(same(o.before, first.before) and same(o.after, first.after) for o in others)
        shown = [first] if alike else group
        for change in shown:
            yield from field_details(change, change.path[1:] if others and alike else change.path)
    yield from node_details([f for f in fields if f.path[:2] == _NODES])
    yield from link_details([f for f in fields if f.path[:2] == _LINKS])
