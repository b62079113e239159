"""Values that may be nested deeper than Python goes: how deep they are, and the text of the rest.

What a workflow returned was stored by a process with room for nearly a thousand levels; whoever
shows it may have less. Not here: what PostgreSQL can keep (`reconciler.store.executions`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

TOO_DEEP: Final = "(nested too deeply to be shown)"
_LEVELS: Final = 100  # that are shown of a value that can't be shown whole


def json_text(value: Any, **how: Any) -> str:
    """Write *value* as `json.dumps` does; never raises RecursionError."""
    try:
        return json.dumps(value, **how)
    except RecursionError:
        return json.dumps(shallow(value, _LEVELS, TOO_DEEP), **how)


def is_deeper(value: Any, levels: int) -> bool:
    """Whether something lies in more than *levels* lists and objects; never raises RecursionError."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [child for one in layer for child in _children(one)]
        if not layer:
            return False
    return True


def shallow(value: Any, levels: int, instead: str) -> Any:
    """Put *instead* in the place of what is nested in *levels* lists and objects, and not empty."""
    match value:
        case dict() | list() if value and not levels:
            return instead
        case dict():
            return {key: shallow(item, levels - 1, instead) for key, item in value.items()}
        case list():
            return [shallow(item, levels - 1, instead) for item in value]
        case _:
            return value


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
