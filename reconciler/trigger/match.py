"""Whether an event's data fit a trigger's filters; the grammar is in `reconciler.trigger.filters`.

An absent field fails every condition but `notEquals`, `notIn` and `exists: false`. Values of
different types are different: `1` is not `"1"`, and not `true`. Not here: events and triggers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from reconciler.resource.payload import Json
from reconciler.trigger.filters import filter_problems

MAX_SUBJECT: Final = 64 * 1024  # characters that a regular expression looks at
Test: TypeAlias = Callable[[Any], bool]

_ABSENT: Final = object()


class FilterFailed(ValueError):
    """Filters could not be applied: they are malformed, or the data too long for them."""


@lru_cache(maxsize=4096)
def filter_of(text: str | None) -> Test:
    """Compile filters as they stand in the database, as JSON text; None lets everything pass.

    Raises FilterFailed; the function that it gives raises it as well.
    """
    if text is None:
        return lambda _: True
    try:
        filters = json.loads(text)
    except (ValueError, RecursionError):
        message = "the filters are not JSON"
        raise FilterFailed(message) from None
    return compile_filter(filters)


def compile_filter(filters: object) -> Test:
    """Compile *filters*; raises FilterFailed when they are malformed."""
    if filters is None:
        return lambda _: True
    problem = next(filter_problems(filters), None)
    if problem is not None:
        where = ".".join(str(part) for part in problem.path)
        message = f"the filters are wrong{f' at {where}' if where else ''}: {problem.message}"
        raise FilterFailed(message)
    assert isinstance(filters, Mapping)
    return _all(filters)


def _all(filters: Mapping[str, Any]) -> Test:
    tests = [_part(key, value) for key, value in filters.items()]
    return lambda data: all(test(data) for test in tests)


def _part(key: str, value: Any) -> Test:
    if key == "not":
        inner = _all(value)
        return lambda data: not inner(data)
    if key in ("any", "all"):
        parts = [_all(one) for one in value]
        join = any if key == "any" else all
        return lambda data: join(part(data) for part in parts)
    path, condition = key.split("."), _condition(key, value)
    return lambda data: condition(_look(data, path))


def _look(data: Json, path: list[str]) -> Any:
    value: Any = data
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 10:
            if int(step) >= len(value):
                return _ABSENT
            value = value[int(step)]
        else:
            return _ABSENT
    return value


def _condition(path: str, value: Any) -> Test:
    if isinstance(value, list):
        return lambda found: isinstance(found, list) and all(_among(one, found) for one in value)
    if not isinstance(value, Mapping):
        return lambda found: _same(found, value)
    tests = [_operator(path, name, operand) for name, operand in value.items()]
    return lambda found: all(test(found) for test in tests)


def _operator(path: str, name: str, operand: Any) -> Test:
    if name == "matches":
        return _matcher(path, str(operand))
    operation = _OPERATIONS[name]
    return lambda found: operation(found, operand)


def _matcher(path: str, pattern: str) -> Test:
    import re2

    options = re2.Options()
    options.log_errors = False
    compiled = re2.compile(pattern, options)

    def test(found: Any) -> bool:
        if not isinstance(found, str):
            return False
        if len(found) > MAX_SUBJECT:
            message = f"`{path}` is longer than {MAX_SUBJECT} characters: no pattern is tried"
            raise FilterFailed(message)
        return compiled.search(found) is not None

    return test


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return found == wanted
    return type(found) is type(wanted) and bool(found == wanted)


def _among(one: Any, values: list[Any]) -> bool:
    return any(_same(value, one) for value in values)


def _comparable(found: Any, wanted: Any) -> bool:
    if isinstance(found, bool):
        return False
    if isinstance(found, str):
        return isinstance(wanted, str)
    return isinstance(found, int | float) and isinstance(wanted, int | float)


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, str):
        return isinstance(wanted, str) and wanted in found
    return isinstance(found, list) and _among(wanted, found)


_OPERATIONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        "equals": _same,
        "notEquals": lambda found, wanted: not _same(found, wanted),
        "in": _among,
        "notIn": lambda found, wanted: not _among(found, wanted),
        "lessThan": lambda found, wanted: _comparable(found, wanted) and found < wanted,
        "lessThanOrEqual": lambda found, wanted: _comparable(found, wanted) and found <= wanted,
        "greaterThan": lambda found, wanted: _comparable(found, wanted) and found > wanted,
        "greaterThanOrEqual": lambda found, wanted: _comparable(found, wanted) and found >= wanted,
        "contains": _contains,
        "startsWith": lambda found, wanted: isinstance(found, str) and found.startswith(wanted),
        "endsWith": lambda found, wanted: isinstance(found, str) and found.endswith(wanted),
        "exists": lambda found, wanted: (found is not _ABSENT) is wanted,
    }
)
