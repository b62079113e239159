"""What a worker reads from columns that other applications may write: nothing there stops it.

Not here: the JSON of the input, which the connection reads (`reconciler.store.times`).
"""

from __future__ import annotations

import json
from functools import lru_cache

from reconciler.trigger.execution import Branch, Cause

_CAUSES = {cause.value: cause for cause in Cause}


def cause_of(text: str) -> Cause:
    """Read what started an execution; a word that is none of ours counts as the API."""
    return _CAUSES.get(text, Cause.API)


@lru_cache(maxsize=4096)
def branches_of(text: str | None) -> tuple[Branch, ...]:
    """Read the way into a workflow; the same text comes with each row of an automation."""
    try:
        listed = json.loads(text) if text else None
    except (ValueError, RecursionError):
        listed = None
    return tuple(
        Branch(
            node=str(one["node"]),
            field=str(one["field"]),
            kind=str(one["kind"]),
            methods=tuple(methods) if isinstance(methods := one.get("methods"), list) else (),
        )
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and {"node", "field", "kind"} <= one.keys()
    )
