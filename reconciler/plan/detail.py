"""One thing to say below a resource: a field, a node, a text diff, a note."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.plan.diff import FieldChange
from reconciler.plan.words import clean, label, secret_change, value
from reconciler.resource.payload import Path
from reconciler.workflow.diff import is_code, text_diff


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A line, with *before* and *after* if it is about a value, and what belongs below it."""

    label: str
    sign: str = ""  # for nodes: + ~ - >
    before: str | None = None
    after: str | None = None
    lines: tuple[str, ...] = ()  # of a unified diff
    below: tuple[Detail, ...] = ()


def field_detail(change: FieldChange, path: Path) -> Detail:
    """Describe one field under the name *path*."""
    name = clean(label(path))
    secret = secret_change(change.before, change.after)
    if secret is not None:
        return Detail(label=f"{name}: {secret}")
    old, new = change.before, change.after
    if (
        isinstance(old, str)
        and isinstance(new, str)
        and "\n" in old + new
        and is_code(path, old, new)
    ):
        return Detail(label=name, lines=tuple(clean_line(line) for line in text_diff(old, new)))
    return Detail(label=name, before=value(old), after=value(new))


def clean_line(line: str) -> str:
    """Make a line of code safe to print; tabs become spaces."""
    return clean(line.expandtabs(4))
