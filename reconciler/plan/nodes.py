"""How the nodes of a workflow differ, told by node from the leaves that differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.plan.detail import Detail, field_details
from reconciler.plan.diff import MISSING, FieldChange, Leaf
from reconciler.plan.words import clean, plural, value
from reconciler.resource.payload import Path, Value

_PLACE = "position"
_OWN = frozenset({_PLACE, "webhookId", "id"})  # may differ in a node that was only renamed


def node_details(fields: Sequence[FieldChange]) -> Iterable[Detail]:
    """Describe changes below ``n8n.nodes``: added, removed, renamed, changed, and only moved."""
    groups: dict[str, list[FieldChange]] = {}
    for change in fields:
        groups.setdefault(".".join(change.path[2:3]), []).append(change)
    added = {name for name, group in groups.items() if _all_missing(group, "before")}
    removed = {name for name, group in groups.items() if _all_missing(group, "after")}
    renamed = _renamed(groups, added, removed)
    moved = 0
    for name, group in groups.items():
        title = f"node {value(name)}"
        if name in renamed.values():
            continue
        if name in renamed:
            yield Detail(sign="~", label=f"{title} was {value(renamed[name])}")
        elif name in added:
            yield Detail(sign="+", label=_typed(title, group, "after"))
        elif name in removed:
            yield Detail(sign="-", label=_typed(title, group, "before"))
        elif all(change.path[3:4] == (_PLACE,) for change in group):
            moved += 1
        else:
            shown = [c for c in group if c.path[3:4] != (_PLACE,)]
            below = tuple(d for change in shown for d in field_details(change, change.path[3:]))
            yield Detail(sign="~", label=title, below=below)
    if moved:
        yield Detail(label=f"{plural(moved, 'node')} moved")


def link_details(fields: Sequence[FieldChange]) -> Iterable[Detail]:
    """Describe changes below ``n8n.connections``: where each node leads to."""
    for change in fields:
        source, *port = change.path[2:]
        other = "" if port in ([], ["main"]) else f" ({clean('.'.join(port))})"
        yield Detail(
            label=f"connections of {value(source)}{other}",
            before=_leads_to(change.before),
            after=_leads_to(change.after),
        )


def _leads_to(outputs: Leaf) -> str:
    """Name the nodes at the end of each output: ``"A", "B" | nothing``."""
    if not isinstance(outputs, list):
        return "nothing" if outputs is MISSING else value(outputs)
    return " | ".join(_targets(output) for output in outputs) or "nothing"


def _targets(output: Value) -> str:
    links = output if isinstance(output, list) else []
    names = (link.get("node") for link in links if isinstance(link, dict))
    return ", ".join(value(name) for name in names) or "nothing"


def _side(change: FieldChange, side: str) -> Leaf:
    return change.before if side == "before" else change.after


def _all_missing(group: Sequence[FieldChange], side: str) -> bool:
    whole = any(change.path[3:] in {(), ("type",)} for change in group)
    return whole and all(_side(change, side) is MISSING for change in group)


def _typed(title: str, group: Sequence[FieldChange], side: str) -> str:
    for change in group:
        kind = _side(change, side)
        if change.path[3:] == ("type",) and isinstance(kind, str):
            return f"{title} ({clean(kind)})"
    return title


def _renamed(
    groups: dict[str, list[FieldChange]], added: set[str], removed: set[str]
) -> dict[str, str]:
    """Pair each node that came with one that went and was the same but for its name."""
    left = {name: _content(groups[name], "before") for name in sorted(removed)}
    pairs: dict[str, str] = {}
    for name in sorted(added):
        content = _content(groups[name], "after")
        old = next((other for other, known in left.items() if known == content), None)
        if old is not None:
            pairs[name] = old
            del left[old]
    return pairs


def _content(group: Sequence[FieldChange], side: str) -> dict[Path, Leaf]:
    return {
        c.path[3:]: _side(c, side) for c in group if c.path[3:4] not in {(own,) for own in _OWN}
    }
