"""Event filters: their grammar, checked before anything runs.

A filter is a mapping of dotted paths to conditions, joined by "and"; ``any``,
``all`` and ``not`` combine filters. A plain value means equality, a list means
that all of these are contained, a mapping names operators. Not here: matching
an event.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from reconciler.diagnostics import Problem

Path: TypeAlias = tuple[str | int, ...]

MAX_PATTERN: Final = 500  # characters of a regular expression
MAX_CONDITIONS: Final = 200  # per trigger: every event is checked against all of them
MAX_DEPTH: Final = 8  # of any/all/not
_SEGMENT: Final = re.compile(r"[^.\s]+(\.[^.\s]+)*")


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _is_ordered(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _is_scalars(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_scalar(item) for item in value)


_ANY: Final = (_is_scalar, "one value")
_ORDERED: Final = (_is_ordered, "a number or a text")
_LIST: Final = (_is_scalars, "a list of values")
_TEXT: Final = (lambda value: isinstance(value, str), "a text")
_FLAG: Final = (lambda value: isinstance(value, bool), "true or false")

OPERATORS: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = MappingProxyType(
    {
        "equals": _ANY,
        "notEquals": _ANY,
        "in": _LIST,
        "notIn": _LIST,
        "lessThan": _ORDERED,
        "lessThanOrEqual": _ORDERED,
        "greaterThan": _ORDERED,
        "greaterThanOrEqual": _ORDERED,
        "contains": _ANY,
        "startsWith": _TEXT,
        "endsWith": _TEXT,
        "matches": _TEXT,
        "exists": _FLAG,
    }
)
COMBINERS: Final = frozenset({"any", "all", "not"})


def filter_problems(filters: object) -> Iterator[Problem]:
    """Yield everything that is wrong with *filters*, each with its path inside them."""
    for count, (path, leaf) in enumerate(_walk(filters, (), 0), 1):
        if isinstance(leaf, Problem):
            yield leaf
        else:
            yield from _condition(path, leaf[0])
        if count > MAX_CONDITIONS:
            yield Problem("AUT107", f"more than {MAX_CONDITIONS} conditions in one filter")
            return


def _walk(value: object, path: Path, depth: int) -> Iterator[tuple[Path, tuple[object] | Problem]]:
    if not isinstance(value, Mapping) or not value:
        hint = "paths and conditions, such as {documentType: invoice}"
        yield path, Problem("AUT107", "a filter is a mapping that is not empty", path, hint=hint)
        return
    if depth > MAX_DEPTH:
        message = f"any, all and not are nested deeper than {MAX_DEPTH}"
        yield path, Problem("AUT107", message, path)
        return
    for key, item in value.items():
        here = (*path, key)
        if key == "not":
            yield from _walk(item, here, depth + 1)
        elif key in COMBINERS:
            if not isinstance(item, list) or not item:
                message = f"`{key}` takes a list of filters that is not empty"
                yield here, Problem("AUT107", message, here)
                continue
            for index, part in enumerate(item):
                yield from _walk(part, (*here, index), depth + 1)
        elif _SEGMENT.fullmatch(key) is None:
            message = f'"{key}" is not a path'
            hint = "field names joined by dots, such as customer.country"
            yield here, Problem("AUT107", message, here, hint=hint, at="key")
        else:
            yield here, (item,)


def _condition(path: Path, value: object) -> Iterator[Problem]:
    if _is_scalar(value):
        return
    if isinstance(value, list):
        if not _is_scalars(value):
            yield Problem("AUT107", "a list in a filter holds plain values, at least one", path)
        return
    if not isinstance(value, Mapping) or not value:
        yield Problem("AUT107", "a condition names at least one operator", path, hint=_known())
        return
    for name, operand in value.items():
        yield from _operator((*path, name), name, operand)


def _operator(path: Path, name: str, operand: object) -> Iterator[Problem]:
    if name not in OPERATORS:
        near = difflib.get_close_matches(name, OPERATORS, n=1)
        hint = f'did you mean "{near[0]}"?' if near else _known()
        yield Problem("AUT106", f'unknown filter operator "{name}"', path, hint=hint, at="key")
        return
    accepts, wanted = OPERATORS[name]
    if not accepts(operand):
        yield Problem("AUT107", f"`{name}` takes {wanted}", path)
    elif name == "matches":
        fault = _pattern_fault(str(operand))
        if fault is not None:
            hint = "RE2 has no look-around and no back-references"
            yield Problem("AUT107", f"this regular expression is refused: {fault}", path, hint=hint)


def _pattern_fault(pattern: str) -> str | None:
    if len(pattern) > MAX_PATTERN:
        return f"it is longer than {MAX_PATTERN} characters"
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0] if error.args else "it is not RE2"
        return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return None


def _known() -> str:
    return "operators: " + ", ".join(OPERATORS)
