"""Fill a template's parameters into its workflow.

A placeholder is written ``${{ parameters.channel }}`` in any text of the
workflow document. A text that is nothing but one placeholder takes the value
with its type (a number stays a number); inside a longer text the value is
written out. n8n's own ``{{ ... }}`` expressions are left alone: they have no
dollar sign before them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from reconciler.resource.payload import Json
from reconciler.workflow.finding import Finding, Notes, Path

_PLACEHOLDER: Final = re.compile(r"\$\{\{\s*parameters\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def placeholders(workflow: Json) -> frozenset[str]:
    """Name the parameters that *workflow* has a place for."""
    found: set[str] = set()
    _collect(workflow, found)
    return frozenset(found)


def fill(workflow: Json, values: Mapping[str, Json]) -> tuple[Json, tuple[Finding, ...]]:
    """Put *values* into *workflow*; a placeholder without a value is a finding."""
    notes = Notes()
    filled = _fill(workflow, values, (), notes)
    return filled, tuple(notes.findings)


def _collect(value: Json, found: set[str]) -> None:
    match value:
        case str():
            found.update(_PLACEHOLDER.findall(value))
        case dict():
            for item in value.values():
                _collect(item, found)
        case list():
            for item in value:
                _collect(item, found)
        case _:
            return


def _fill(value: Json, values: Mapping[str, Json], path: Path, notes: Notes) -> Json:
    match value:
        case str():
            return _fill_text(value, values, path, notes)
        case dict():
            return {k: _fill(item, values, (*path, k), notes) for k, item in value.items()}
        case list():
            return [_fill(item, values, (*path, n), notes) for n, item in enumerate(value)]
        case _:
            return value


def _fill_text(text: str, values: Mapping[str, Json], path: Path, notes: Notes) -> Json:
    for name in _PLACEHOLDER.findall(text):
        if name not in values:
            known = ", ".join(sorted(values)) or "none"
            notes.error(
                "WFL150",
                path,
                f'the template has no parameter "{name}"',
                f"declare it under `parameters`; there are: {known}",
            )
            return text
    whole = _PLACEHOLDER.fullmatch(text)
    if whole is not None:
        return values[whole[1]]
    return _PLACEHOLDER.sub(lambda match: _written(values[match[1]]), text)


def _written(value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
