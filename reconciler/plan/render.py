"""A plan as text for a terminal of 80 columns; colours are the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from reconciler.plan.change import Plan
from reconciler.plan.detail import Detail
from reconciler.plan.outline import LEGEND, Item, Outline, outline
from reconciler.plan.words import plural, shorten

Paint: TypeAlias = Callable[[str, str], str]
"""Takes a style and a text and returns it coloured. Styles: heading create update remove blocked
adopt move drift note added deleted summary; "" is plain."""

_LINE_STYLES = {"+": "added", "-": "deleted", "@": "note"}
_NODE_STYLES = {"+": "create", "-": "remove", "~": "update"}


def plain(_style: str, text: str) -> str:
    """Paint nothing."""
    return text


def render(plan: Plan, *, paint: Paint = plain, width: int = 80) -> str:
    """Write *plan* for people, drift apart from intent; the last line sums it up."""
    return "\n".join(_lines(outline(plan), paint, max(width, 40)))


def detail_lines(item: Item, width: int) -> list[str]:
    """Write what belongs below one resource, without indent and colour."""
    return list(_details(item.details, 0, plain, width))


def _lines(shown: Outline, paint: Paint, width: int) -> Iterator[str]:
    if shown.drift:
        yield paint("heading", "Changed outside git:")
        yield ""
        for item in shown.drift:
            yield from _item(item, "drift", paint, width)
        yield ""
    if shown.planned:
        yield paint("heading", "Planned:")
        yield ""
        for item in shown.planned:
            yield from _item(item, LEGEND[item.sign], paint, width)
        yield ""
        yield "  " + "  ".join(paint(word, f"{sign} {word}") for sign, word in shown.legend)
        yield ""
    if shown.undeclared:
        count = plural(len(shown.undeclared), "resource")
        yield paint("note", f"Recorded but not declared, left alone without --prune ({count}):")
        yield from (f"    {shorten(address, width - 4)}" for address in shown.undeclared)
        yield ""
    if shown.unchanged and shown.planned:
        yield paint("note", f"{plural(shown.unchanged, 'resource')} unchanged.")
    yield paint("summary", shown.summary)


def _item(item: Item, style: str, paint: Paint, width: int) -> Iterator[str]:
    yield paint(style, f"  {item.sign} {item.address}")
    yield from _wrapped(item.why, 6, width, "note", paint)
    if item.blocked is not None:
        yield from _wrapped(f"blocked: {item.blocked}", 6, width, "blocked", paint)
    yield from _details(item.details, 6, paint, width)


def _details(details: Iterable[Detail], indent: int, paint: Paint, width: int) -> Iterator[str]:
    for detail in details:
        yield from _detail(detail, indent, paint, width)


def _detail(detail: Detail, indent: int, paint: Paint, width: int) -> Iterator[str]:
    room, space = width - indent, " " * indent
    if detail.sign:
        text = shorten(f"{detail.sign} {detail.label}", room)
        yield space + paint(_NODE_STYLES[detail.sign], text)
    elif detail.before is not None and detail.after is not None:
        yield from _value(detail.label, detail.before, detail.after, (indent, width))
    elif detail.lines:
        yield space + shorten(f"{detail.label}:", room)
        for line in detail.lines:
            yield space + "  " + paint(_LINE_STYLES.get(line[:1], ""), shorten(line, room - 2))
    else:
        yield from _wrapped(detail.label, indent, width, "", paint)
    yield from _details(detail.below, indent + 4, paint, width)


def _value(name: str, before: str, after: str, at: tuple[int, int]) -> Iterator[str]:
    """Write a change on one line if it fits, else one value below the other, each cut in the middle."""
    indent, width = at
    space, room = " " * indent, width - indent
    line = f"{name}: {before} -> {after}"
    if len(line) <= room:
        yield space + line
        return
    yield space + shorten(f"{name}:", room)
    yield space + "     " + shorten(before, room - 5)
    yield space + "  -> " + shorten(after, room - 5)


def _wrapped(text: str, indent: int, width: int, style: str, paint: Paint) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width - indent:
            yield " " * indent + paint(style, line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield " " * indent + paint(style, line)
