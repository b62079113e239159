"""What became of a run: n8n's word for an execution, as the runtime needs it. Pure.

Not here: asking n8n (`reconciler.n8n.runs`), nor what a status means for the row.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reconciler.n8n.deep import CUT
from reconciler.resource.json_text import is_deeper, shallow
from reconciler.resource.payload import Json, Object
from reconciler.workflow.entry import ENTRY_HEADER, ENTRY_NAME

OUTPUT_LIMIT: Final = 256 * 1024  # bytes of JSON
_MESSAGE_LIMIT = 4000  # characters
_STACK_LIMIT = 16_000
_TEXT_LIMIT = 1000  # of a long text in an item that is too large as a whole
_DEEPEST = 200  # lists and objects in each other; many a reader of JSON goes no deeper
_HIDDEN = "[hidden]"
_SECRET_HEADERS = frozenset(
    {ENTRY_HEADER.lower(), "authorization", "cookie", "proxy-authorization", "x-api-key"}
)
_BAD_TEXT = ("\\u0000", "\\ud")  # PostgreSQL stores neither NUL nor half a surrogate pair


class RunState(enum.StrEnum):
    """Where a run is, in n8n's words, and one of ours."""

    NEW = "new"  # waits for a place in n8n
    RUNNING = "running"
    WAITING = "waiting"  # at a Wait node, not in n8n's memory
    SUCCESS = "success"
    ERROR = "error"
    CRASHED = "crashed"
    CANCELED = "canceled"
    GONE = "gone"  # it began, and n8n has forgotten it


_ALIVE = frozenset({RunState.NEW, RunState.RUNNING, RunState.WAITING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution in n8n; *output* is the list of the last node's items."""

    id: str
    workflow_id: str
    state: RunState
    version_id: str | None = None
    mode: str = ""  # n8n's word for what started it: webhook, trigger, ...
    correlation: str | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    size: int = 0  # bytes of all its data, as far as n8n says
    output: list[Json] | None = None
    truncated: bool = False
    error_message: str | None = None
    error_stack: str | None = None
    error_node: str | None = None
    start_node: str | None = None  # with what it gave, if that was asked for
    entered: list[Json] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state not in _ALIVE


def gone(id_: str, workflow_id: str) -> Run:
    """Describe a run that began and that n8n no longer knows."""
    message = (
        "n8n has forgotten this run: its workflow was deleted or does not save its runs, or they "
        "were pruned"
    )
    return Run(id=id_, workflow_id=workflow_id, state=RunState.GONE, error_message=message)


def read_run(row: Object, limit: int = OUTPUT_LIMIT, *, entered: bool = False) -> Run:
    """Read an execution of n8n's API, with or without its data.

    *limit* is of the output's bytes; *entered* asks for what the first node gave, too.
    """
    state = _state(row)
    data = _object(row.get("data"))
    result = _object(data.get("resultData"))
    output: list[Json] | None = None
    truncated = bool(row.get("dataTooLargeToDisplay")) and state is RunState.SUCCESS
    if state is RunState.SUCCESS and result:
        output, truncated = cut(_last_items(result), limit)
    message, stack, node = _error(state, result)
    start_node, items = _entered(data, result, limit) if entered else (None, None)
    return Run(
        id=str(row.get("id")),
        workflow_id=str(row.get("workflowId")),
        state=state,
        version_id=_text(row.get("workflowVersionId")),
        mode=_text(row.get("mode")) or "",
        correlation=_correlation(data, result),
        started_at=moment(row.get("startedAt")),
        stopped_at=moment(row.get("stoppedAt")),
        size=size if isinstance(size := row.get("jsonSizeBytes"), int) else 0,
        output=output,
        truncated=truncated,
        error_message=message,
        error_stack=stack,
        error_node=node,
        start_node=start_node,
        entered=items,
    )


def cut(items: list[Json], limit: int) -> tuple[list[Json], bool]:
    """Keep as many leading *items* as fit into *limit* bytes; tell whether something was left out."""
    try:
        return _cut(items, limit)
    except RecursionError:  # nested deeper than anybody reads
        return [], True


def _cut(items: list[Json], limit: int) -> tuple[list[Json], bool]:
    text = json.dumps(items)
    if '"headers": {' in text or any(bad in text for bad in _BAD_TEXT):
        items = [_cleaned(item) for item in items]
        text = json.dumps(items)
    # Counting costs next to nothing, and few outputs have as many brackets.
    deep = text.count("[") + text.count("{") > _DEEPEST and is_deeper(items, _DEEPEST)
    if deep:
        items = shallow(items, _DEEPEST, CUT)
        text = json.dumps(items)
    if len(text) <= limit:
        return items, deep
    kept: list[Json] = []
    size = 2
    for item in items:
        size += len(json.dumps(item)) + 2
        if size > limit:
            break
        kept.append(item)
    if not kept and items:
        shorter = _shortened(items[0])
        kept = [shorter] if len(json.dumps(shorter)) + 2 <= limit else []
    return kept, True


def clean_text(text: str) -> str:
    """Make *text* one that PostgreSQL can store."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _state(row: Object) -> RunState:
    word = row.get("status")
    if isinstance(word, str) and word in set(RunState):
        return RunState(word)
    # "unknown", or none in an old row: n8n itself derives it from these.
    if row.get("stoppedAt") is None:
        return RunState.RUNNING
    return RunState.SUCCESS if row.get("finished") else RunState.CRASHED


def _last_items(result: Object) -> list[Json]:
    return _items(_object(_last_task(result).get("data")).get("main"))


def _items(outputs: Json) -> list[Json]:
    return [
        _item(_object(item))
        for output in (outputs if isinstance(outputs, list) else [])
        for item in (output if isinstance(output, list) else [])
    ]


def _last_task(result: Object) -> Object:
    tasks = _object(result.get("runData")).get(str(result.get("lastNodeExecuted")))
    return _object(tasks[-1]) if isinstance(tasks, list) and tasks else {}


def _item(item: Object) -> Json:
    """Give an item's JSON, and of its files what they are but not what is in them."""
    fields = _object(item.get("json"))
    files = _object(item.get("binary"))
    if not files:
        return fields
    told: dict[str, Json] = {}
    for name, file in files.items():
        told[name] = {key: value for key, value in _object(file).items() if key != "data"}
    return {**fields, "$binary": told} if fields else {"$binary": told}


def _error(state: RunState, result: Object) -> tuple[str | None, str | None, str | None]:
    if state in _ALIVE or state is RunState.SUCCESS:
        return None, None, None
    error = _object(result.get("error")) or _object(_last_task(result).get("error"))
    node = _text(_object(error.get("node")).get("name")) or _text(result.get("lastNodeExecuted"))
    message = _text(error.get("message"))
    detail = _text(error.get("description"))
    if message and detail and detail.strip(". ") not in message:
        message = f"{message}: {detail}"
    stack = _text(error.get("stack"))
    return (
        clean_text(message or _SAID[state])[:_MESSAGE_LIMIT],
        None if stack is None else clean_text(stack)[:_STACK_LIMIT],
        None if node is None else clean_text(node),
    )


_SAID = {
    RunState.ERROR: "the workflow failed, and n8n does not say why",
    RunState.CRASHED: "n8n crashed or was restarted during the run",
    RunState.CANCELED: "the run was stopped in n8n",
}


def _correlation(data: Object, result: Object) -> str | None:
    """Find the id that we posted: in what the entry gave, or in what it is about to get."""
    tasks = _object(result.get("runData")).get(ENTRY_NAME)
    if isinstance(tasks, list) and tasks:
        return _posted_id(_object(_object(tasks[0]).get("data")).get("main"))
    stack = _object(data.get("executionData")).get("nodeExecutionStack")
    first = _object(stack[0]) if isinstance(stack, list) and stack else {}
    if _object(first.get("node")).get("name") != ENTRY_NAME:
        return None
    return _posted_id(_object(first.get("data")).get("main"))


def _entered(data: Object, result: Object, limit: int) -> tuple[str | None, list[Json]]:
    """Find the node that a run began with, and the items it gave."""
    runs = _object(result.get("runData"))
    tasks = {name: _object(one[0]) for name, one in runs.items() if isinstance(one, list) and one}
    if tasks:
        name = min(tasks, key=lambda name: (_order(tasks[name]), name))
        return name, cut(_items(_object(tasks[name].get("data")).get("main")), limit)[0]
    stack = _object(data.get("executionData")).get("nodeExecutionStack")
    first = _object(stack[0]) if isinstance(stack, list) and stack else {}
    items = _items(_object(first.get("data")).get("main"))
    return _text(_object(first.get("node")).get("name")), cut(items, limit)[0]


def _order(task: Object) -> tuple[float, float]:
    index, start = task.get("executionIndex"), task.get("startTime")
    return (
        float(index) if isinstance(index, (int, float)) else 0.0,
        float(start) if isinstance(start, (int, float)) else 0.0,
    )


def _posted_id(outputs: Json) -> str | None:
    for _ in range(2):  # the first item of the first output
        outputs = outputs[0] if isinstance(outputs, list) and outputs else None
    body = _object(_object(_object(outputs).get("json")).get("body"))
    return _text(body.get("id"))


def _cleaned(value: Json) -> Json:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    if isinstance(value, dict):
        return {
            clean_text(key): _without_secrets(one) if key == "headers" else _cleaned(one)
            for key, one in value.items()
        }
    return value


def _without_secrets(headers: Json) -> Json:
    """Hide what proved who called: a webhook's item holds all headers of the call."""
    if not isinstance(headers, dict):
        return _cleaned(headers)
    return {
        clean_text(key): _HIDDEN if key.lower() in _SECRET_HEADERS else _cleaned(one)
        for key, one in headers.items()
    }


def _shortened(value: Json) -> Json:
    if isinstance(value, str) and len(value) > _TEXT_LIMIT:
        return f"{value[:_TEXT_LIMIT]}…"
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    if isinstance(value, dict):
        return {key: _shortened(one) for key, one in value.items()}
    return value


def _object(value: Json | Mapping[str, Json]) -> Object:
    return value if isinstance(value, dict) else {}


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def moment(value: Json) -> datetime | None:
    """Read a time of n8n's, which is in UTC where it doesn't say; None: it is none."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)
