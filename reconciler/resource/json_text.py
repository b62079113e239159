"""Values as JSON text, however deep they are nested: what is too deep for Python is left out.

What a workflow returned was stored by a process with room for nearly a thousand levels; whoever
shows it may have less. Not here: what PostgreSQL can keep (`reconciler.store.executions`).
"""

from __future__ import annotations

import json
from typing import Any, Final

TOO_DEEP: Final = "(nested too deeply to be shown)"
_LEVELS: Final = 100  # that are shown of a value that can't be shown whole


def json_text(value: Any, **how: Any) -> str:
    """Write *value* as `json.dumps` does; never raises RecursionError."""
    try:
        return json.dumps(value, **how)
    except RecursionError:
        return json.dumps(shallow(value, _LEVELS, TOO_DEEP), **how)


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
