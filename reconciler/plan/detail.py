"""One thing to say below a resource: a field, a node, a text diff, a note."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from reconciler.plan.diff import MISSING, FieldChange, Leaf, same
from reconciler.plan.words import clean, label, secret_change, value
from reconciler.resource.payload import Path
from reconciler.workflow.diff import is_code, text_diff

_MANY = 8  # entries of a list that are worth a line each


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A line, with *before* and *after* if it is about a value, and what belongs below it."""

    label: str
    sign: str = ""  # for nodes: + ~ - >
    before: str | None = None
    after: str | None = None
    lines: tuple[str, ...] = ()  # of a unified diff
    below: tuple[Detail, ...] = ()


def field_details(change: FieldChange, path: Path) -> Iterator[Detail]:
    """Describe one field under the name *path*; of a list only the entries that differ."""
    name = clean(label(path))
    secret = secret_change(change.before, change.after)
    if secret is not None:
        yield Detail(label=f"{name}: {secret}")
        return
    differences = list(_differences(name, change.before, change.after))
    if len(differences) > _MANY:
        differences = [(name, change.before, change.after)]
    for inner, old, new in differences:
        yield _value_detail(inner, path, old, new)


def _value_detail(name: str, path: Path, old: Leaf, new: Leaf) -> Detail:
    if (
        isinstance(old, str)
        and isinstance(new, str)
        and "\n" in old + new
        and is_code(path, old, new)
    ):
        return Detail(label=name, lines=tuple(clean_line(line) for line in text_diff(old, new)))
    return Detail(label=name, before=value(old), after=value(new))


def _differences(name: str, old: Leaf, new: Leaf) -> Iterator[tuple[str, Leaf, Leaf]]:
    """Look for what differs inside a list, so that it is not lost in the middle of a long line."""
    if isinstance(old, list) and isinstance(new, list) and old and new:
        for n, (one, other) in enumerate(zip_longest(old, new, fillvalue=MISSING)):
            if not same(one, other):
                yield from _differences(f"{name}[{n}]", one, other)
    elif isinstance(old, dict) and isinstance(new, dict) and old and new:
        for key in dict.fromkeys((*old, *new)):
            one, other = old.get(key, MISSING), new.get(key, MISSING)
            if not same(one, other):
                yield from _differences(f"{name}.{clean(label((key,)))}", one, other)
    else:
        yield name, old, new


def clean_line(line: str) -> str:
    """Make a line of code safe to print; tabs become spaces."""
    return clean(line.expandtabs(4))
