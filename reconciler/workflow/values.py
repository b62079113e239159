"""JSON values as they come back from n8n: what JavaScript and PostgreSQL make of them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, cast

from reconciler.resource.payload import Value
from reconciler.workflow.finding import Notes, Path

MAX_DEPTH = 100
_SAFE_INTEGER = 2**53
_NOT_OWN = "__proto__"  # JavaScript would take it for the prototype


def clean(value: object, path: Path, notes: Notes) -> Value:
    """Give *value* with numbers as n8n gives them back; what can't be stored becomes a finding.

    A value that is clean already, as nearly all are, is given back itself, not a copy.
    """
    if _is_clean(value, 0):
        return cast("Value", value)
    return _clean(value, path, notes, 0)


def _is_clean(value: Any, depth: int) -> bool:
    kind = type(value)
    if kind is str:
        return _is_clean_text(value)
    if kind is dict or kind is list:
        if depth >= MAX_DEPTH:
            return False
        deeper = depth + 1
        if kind is list:
            return all(_is_clean(item, deeper) for item in value)
        for key, item in value.items():
            if type(key) is not str or key == _NOT_OWN or not _is_clean_text(key):
                return False
            if not _is_clean(item, deeper):
                return False
        return True
    if kind is int:
        return bool(-_SAFE_INTEGER <= value <= _SAFE_INTEGER)
    if kind is float:
        return math.isfinite(value) and not float(value).is_integer()
    return value is None or kind is bool


def _is_clean_text(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any(map(_is_half, text)))


def _is_half(sign: str) -> bool:
    return "\ud800" <= sign <= "\udfff"


def _clean(value: object, path: Path, notes: Notes, depth: int) -> Value:
    match value:
        case None | bool():
            return value
        case str():
            return clean_text(value, path, notes)
        case int() | float():
            return clean_number(value, path, notes)
        case list() | dict() if depth >= MAX_DEPTH:
            notes.error("WFL108", path, f"is nested more than {MAX_DEPTH} levels deep")
            return None
        case list():
            return [_clean(item, (*path, at), notes, depth + 1) for at, item in enumerate(value)]
        case dict():
            return _clean_object(value, path, notes, depth)
        case _:
            notes.error("WFL108", path, f"is not JSON but a {type(value).__name__}")
            return None


def _clean_object(
    value: dict[object, object], path: Path, notes: Notes, depth: int
) -> dict[str, Value]:
    result: dict[str, Value] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            notes.error("WFL108", path, f"has the key {key!r}, and keys must be text")
        elif key == _NOT_OWN:
            notes.drop((*path, key), "n8n refuses this name")
        else:
            name = clean_text(key, path, notes)
            result[name] = _clean(item, (*path, key), notes, depth + 1)
    return result


def clean_text(text: str, path: Path, notes: Notes) -> str:
    """Give *text* back; half characters and NUL, which no database takes, become findings."""
    if "\0" in text:
        notes.error("WFL109", path, "holds a NUL character, which PostgreSQL can't store")
        text = text.replace("\0", "\ufffd")
    if not text.isascii() and any(map(_is_half, text)):
        notes.error("WFL109", path, "holds half a character (a lone surrogate)")
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text


def clean_number(number: float, path: Path, notes: Notes) -> int | float:
    """Give *number* as JavaScript would write it: 1 for 1.0, 64-bit precision."""
    if isinstance(number, int) and -_SAFE_INTEGER <= number <= _SAFE_INTEGER:
        return number
    try:
        real = float(number)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real):
        notes.error("WFL108", path, "is not a number that JSON can hold")
        return 0
    if not real.is_integer():
        return real
    whole = int(Decimal(repr(real)))
    if isinstance(number, int) and whole != number:
        notes.warn("WFL110", path, f"is too large to be exact in n8n, which makes {whole} of it")
    return whole
