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
        return json.dumps(_shallow(value, _LEVELS), **how)


def _shallow(value: Any, levels: int) -> Any:
    match value:
        case dict() | list() if value and not levels:
            return TOO_DEEP
        case dict():
            return {key: _shallow(item, levels - 1) for key, item in value.items()}
        case list():
            return [_shallow(item, levels - 1) for item in value]
        case _:
            return value
