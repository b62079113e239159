"""Diagnostics for people: each with its place, the line it is about, and a hint.

Text from files is made harmless before it is shown: control and direction
characters are written as escapes, values that may be secret are hidden. Formats
for other programs are in `report_formats`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from reconciler.diagnostics import Diagnostic, Mark, Severity
from reconciler.spec.report_formats import as_json, github, gitlab, junit, sarif
from reconciler.spec.secrets import HIDDEN, hide
from reconciler.spec.visible import clean

_WIDTH: Final = 100  # columns of an excerpt; a longer line is cut around the mark
_BEFORE: Final = 1500  # characters before a mark that are looked at: a long key may begin there
_AFTER: Final = 150  # characters after it
_TOKEN: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'[^']*'?|[^\s,\[\]{}]+")
_KEY: Final = re.compile(r"[\"']?[A-Za-z][\w-]*[\"']?\s*:(?=\s|$)")
_COLOURS: Final = {
    Severity.ERROR: "\x1b[1;31m",
    Severity.WARNING: "\x1b[1;33m",
    Severity.NOTE: "\x1b[1;36m",
}
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"

Texts = Mapping[str, str]


def text(diagnostics: Iterable[Diagnostic], texts: Texts, *, colour: bool = False) -> str:
    """Write all diagnostics the way a compiler does; empty for none."""
    lines = {path: content.split("\n") for path, content in texts.items()} if diagnostics else {}
    blocks = [_block(item, lines, colour=colour) for item in diagnostics]
    return "\n".join(blocks)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """Count, such as ``2 errors, 1 warning``; empty for none."""
    counts: dict[Severity, int] = {}
    for item in diagnostics:
        counts[item.severity] = counts.get(item.severity, 0) + 1
    return ", ".join(
        f"{counts[severity]} {severity.value}{'s' if counts[severity] != 1 else ''}"
        for severity in Severity
        if severity in counts
    )


def _block(item: Diagnostic, lines: Mapping[str, list[str]], *, colour: bool) -> str:
    paint = _painter(colour=colour)
    place = f"{clean(str(item.mark))}: " if item.mark is not None else ""
    word = paint(f"{item.severity.value}[{item.code}]", _COLOURS[item.severity])
    parts = [f"{paint(place, _BOLD)}{word}: {clean(item.message)}"]
    if item.mark is not None:
        parts += _excerpt(item, item.mark, lines.get(item.mark.path, []), paint)
    if item.hint:
        parts.append(f"  {paint('help:', _BOLD)} {clean(item.hint)}")
    return "\n".join(parts) + "\n"


def _painter(*, colour: bool) -> Callable[[str, str], str]:
    def paint(words: str, code: str) -> str:
        return f"{code}{words}{_PLAIN}" if colour and words else words

    return paint


def _excerpt(
    item: Diagnostic, mark: Mark, lines: list[str], paint: Callable[[str, str], str]
) -> list[str]:
    if not 0 < mark.line <= len(lines):
        return []
    line = lines[mark.line - 1]
    column = min(mark.column - 1, len(line))
    start = max(0, column - _BEFORE)  # a workflow in one line may be megabytes long
    raw, column = line[start : column + _AFTER].rstrip("\r"), column - start
    if not raw.strip():
        return []
    secret = item.code.startswith("CRE")
    before, after = hide(raw[:column]), _after(raw, column, secret=secret)
    if not secret and before + after != hide(raw):
        before, after = _realign(raw, column)
    token = _TOKEN.match(after)
    length = _columns(clean(token[0])) if token else 1
    before, after = clean(before.replace("\t", " ")), clean(after.replace("\t", " "))
    if len(before) + len(after) > _WIDTH and len(before) > _WIDTH // 2:
        before = "..." + before[-(_WIDTH // 2) :]
    shown = (before + after)[:_WIDTH]
    gutter = f"{mark.line:>5} | "
    carets = "^" * max(1, min(length, _WIDTH - len(before)))
    margin = " " * (len(gutter) - 2) + "| " + " " * _columns(before)
    return [f"{paint(gutter, _DIM)}{shown}", margin + paint(carets, _COLOURS[item.severity])]


def _after(raw: str, column: int, *, secret: bool) -> str:
    """Return the rest of the line as it may be shown."""
    rest = raw[column:]
    if not secret:
        return hide(rest)
    key = _KEY.match(rest)
    return f"{key[0]} {HIDDEN}" if key else HIDDEN


def _realign(raw: str, column: int) -> tuple[str, str]:
    """Hide the whole line at once, where its halves would not be recognised."""
    whole = hide(raw)
    same = 0
    while same < min(len(raw), len(whole)) and raw[same] == whole[same]:
        same += 1
    return (whole[:column], whole[column:]) if column <= same else (whole[:same], whole[same:])


def _columns(words: str) -> int:
    """Count terminal columns: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in words
    )


def _text(diagnostics: Iterable[Diagnostic], texts: Texts) -> str:
    return text(diagnostics, texts)


def _json(diagnostics: Iterable[Diagnostic], texts: Texts) -> str:
    del texts
    return json.dumps(as_json(diagnostics), indent=2, ensure_ascii=False) + "\n"


FORMATS: Final[Mapping[str, Callable[[Iterable[Diagnostic], Texts], str]]] = MappingProxyType(
    {
        "text": _text,
        "json": _json,
        "github": lambda items, _: github(items),
        "gitlab": lambda items, _: gitlab(items),
        "sarif": lambda items, _: sarif(items),
        "junit": lambda items, _: junit(items),
    }
)


def render(diagnostics: Iterable[Diagnostic], texts: Texts, form: str = "text") -> str:
    """Write *diagnostics* in the named format; raises KeyError for an unknown one."""
    return FORMATS[form](tuple(diagnostics), texts)
