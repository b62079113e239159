"""Which way into a workflow an execution takes, and what is posted to its managed entry. Pure.

Not here: posting it (`reconciler.n8n.runs`), nor how the entry is made (`reconciler.workflow`).
"""

from __future__ import annotations

from typing import Final, cast

from reconciler.errors import ConfigError
from reconciler.resource.payload import Json, Object, Value
from reconciler.resource.unreadable import Unreadable
from reconciler.trigger.execution import Branch, Cause, Claimed

_KIND: Final = {Cause.WEBHOOK: "webhook", Cause.SCHEDULE: "schedule"}
_MANUAL: Final = "manual"


def correlation(claimed: Claimed) -> str:
    """Give what tells this attempt's run from all others: it is posted, and n8n keeps it."""
    return f"{claimed.id}:{claimed.attempt}"


def choose(claimed: Claimed) -> Branch:
    """Pick the branch that stands for what started the execution.

    That is the one of the fitting kind; of several, the one that is called like the trigger. A
    workflow with one way in takes it for everything. Raises ConfigError when none can be meant.
    """
    branches = claimed.branches
    kind = _KIND.get(claimed.cause, _MANUAL)
    fitting = [branch for branch in branches if branch.kind == kind]
    for choice in (fitting, _called(claimed, fitting), _called(claimed, branches), branches):
        if len(choice) == 1:
            return choice[0]
    raise ConfigError(_why_not(claimed, kind, len(fitting)))


def body(claimed: Claimed) -> Object:
    """Give what to post: items for one branch, none for all others; raises ConfigError."""
    chosen = choose(claimed)
    posted: Object = {"id": correlation(claimed)}
    for branch in claimed.branches:
        posted[branch.field] = []
    posted[chosen.field] = _items(claimed.trigger_data)
    if len(chosen.methods) > 1:
        # The workflow has an output for each method; an unknown one takes the first.
        method = (claimed.method or "").upper()
        posted["output"] = chosen.methods.index(method) if method in chosen.methods else 0
    return posted


def _items(data: Value) -> list[Json]:
    if isinstance(data, Unreadable):
        message = f"its input can't be read: {data.reason}"
        raise ConfigError(message, hint="correct what was inserted, and ask for a new run")
    if isinstance(data, list):
        # An empty list would start nothing: n8n runs a branch only for an item.
        return [_item(one) for one in data] or [{}]
    return [_item(data)]


def _item(value: Value) -> Json:
    if value is None:
        return {}
    # It was read from JSON: references and sealed values occur in specs only.
    return cast("Json", value if isinstance(value, dict) else {"value": value})


def _called(claimed: Claimed, branches: tuple[Branch, ...] | list[Branch]) -> list[Branch]:
    if claimed.trigger_name is None:
        return []
    short = claimed.trigger_name.removeprefix(f"{claimed.automation}.")
    return [branch for branch in branches if _plain(branch.node) == _plain(short)]


def _plain(name: str) -> str:
    """Reduce a node's name ("Every morning!") and a trigger's ("every-morning") to the same."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _why_not(claimed: Claimed, kind: str, fitting: int) -> str:
    if not claimed.branches:
        return "the workflow has no trigger that the runtime serves: n8n starts it by itself"
    nodes = ", ".join(f'"{branch.node}"' for branch in claimed.branches)
    if fitting:
        called = "" if claimed.trigger_name is None else f' is called like "{claimed.trigger_name}"'
        which = called or " was named"
        return f"the workflow has {fitting} {kind} triggers and none{which}: {nodes}"
    return f"the workflow has no {kind} trigger, and several others: {nodes}"
