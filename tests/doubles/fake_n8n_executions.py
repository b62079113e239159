"""The executions of a `FakeN8n`: nothing really runs, each run ends as a script says.

A run takes wall-clock time, as those who follow it measure that. Not here: which webhook
belongs to which workflow (`fake_n8n`).
"""

from __future__ import annotations

import base64
import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tests.doubles.fake_n8n_rules import Refused
from tests.doubles.fake_n8n_state import Execution, State, Workflow

NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run goes: it takes *seconds*, then succeeds with *output* or fails with *error*.

    *output* None: the items that came in. *waits*: it is not running but waiting meanwhile.
    *crash*: n8n ended during the run. *respond*: what its Respond to Webhook node answers.
    """

    seconds: float = 0.0
    output: list[Any] | None = None
    error: str | None = None
    waits: bool = False
    crash: bool = False
    respond: tuple[int, dict[str, str], bytes] | None = None


@dataclass(slots=True)
class Script:
    """The outcomes to come: the next one of a workflow, else the next of all, else success."""

    queues: dict[str | None, deque[Outcome]] = field(default_factory=dict)
    always: dict[str | None, Outcome] = field(default_factory=dict)

    def next(self, workflow_id: str) -> Outcome:
        for key in (workflow_id, None):
            if self.queues.get(key):
                return self.queues[key].popleft()
        return self.always.get(workflow_id) or self.always.get(None) or Outcome()


class Executions:
    """n8n's executions: begins, lists, shows, stops and deletes them."""

    def __init__(self, state: State, script: Script, page_limit: int) -> None:
        self.state, self.script, self.page_limit = state, script, page_limit

    def begin(
        self, workflow: Workflow, version_id: str, mode: str, node: str, item: dict[str, Any]
    ) -> Execution:
        """Start a run of *workflow* at *node*, with one item."""
        number = self.state.executed = self.state.executed + 1
        execution = Execution(
            id=str(number),
            workflow_id=workflow.id,
            version_id=version_id,
            at=_iso(datetime.now(UTC)),
            begun=time.monotonic(),
            body=item.get("body"),
            mode=mode,
            node=node,
            item=item,
            last=_last_node(workflow, node),
            outcome=self.script.next(workflow.id),
        )
        self.state.executions[execution.id] = execution
        self.settle()
        return self.state.executions.get(execution.id, execution)

    def settle(self) -> None:
        """End the runs whose time has come."""
        now = time.monotonic()
        for execution in list(self.state.executions.values()):
            if execution.stopped_at is None and now >= execution.begun + execution.outcome.seconds:
                self._end(execution, _status(execution.outcome))

    def _end(self, execution: Execution, status: str) -> None:
        workflow = self.state.workflows.get(execution.workflow_id)
        settings = {} if workflow is None else workflow.settings
        key = "saveDataSuccessExecution" if status == "success" else "saveDataErrorExecution"
        if settings.get(key) == "none" and status != "crashed":
            del self.state.executions[execution.id]
            return
        ended = replace(execution, status=status, stopped_at=_iso(datetime.now(UTC)))
        self.state.executions[execution.id] = ended

    def listing(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Answer GET /executions."""
        self.settle()
        limit = min(int(query.get("limit", 100)), self.page_limit)
        below: float = NEVER
        if "cursor" in query:
            try:
                inner = json.loads(base64.b64decode(query["cursor"]))
                limit, below = min(int(inner["limit"]), self.page_limit), int(inner["lastId"])
            except (ValueError, KeyError) as error:
                raise Refused(400, "An invalid cursor was provided") from error
        found = [
            execution
            for execution in reversed(self.state.executions.values())
            if int(execution.id) < below and _meets(execution, query)
        ]
        page = found[:limit]
        data = query.get("includeData") == "true"
        last = json.dumps({"lastId": page[-1].id, "limit": limit}) if page else ""
        return {
            "data": [self._row(execution, data=data) for execution in page],
            "nextCursor": base64.b64encode(last.encode()).decode() if len(found) > limit else None,
        }

    def get(self, id_: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Answer GET /executions/{id}."""
        self.settle()
        return self._row(self._found(id_), data=query.get("includeData") == "true")

    def stop(self, id_: str) -> dict[str, Any]:
        """Answer POST /executions/{id}/stop."""
        self.settle()
        execution = self.state.executions.get(id_)
        if execution is None:
            raise Refused(404, "Failed to find execution to stop")
        if execution.stopped_at is not None:
            raise Refused(
                409,
                "Only running or waiting executions can be stopped and "
                f"{id_} is currently {execution.status}",
            )
        self._end(execution, "canceled")
        return {"mode": execution.mode, "startedAt": execution.at, "status": "canceled"}

    def delete(self, id_: str) -> dict[str, Any]:
        """Answer DELETE /executions/{id}, as n8n's pruning does it too."""
        execution = self._found(id_)
        del self.state.executions[id_]
        return {**self._row(execution, data=False), "id": int(id_)}

    def restart(self) -> None:
        """Do what a restart of n8n does to the runs in its memory."""
        for execution in list(self.state.executions.values()):
            if execution.status == "running" and not execution.outcome.waits:
                self._end(execution, "crashed")

    def _found(self, id_: str) -> Execution:
        if id_ not in self.state.executions:
            raise Refused(404, "Not Found")
        return self.state.executions[id_]

    def _row(self, execution: Execution, *, data: bool) -> dict[str, Any]:
        content = _data(execution)
        status = execution.status
        waits = status == "running" and execution.outcome.waits
        row = {
            "id": execution.id,
            "finished": status == "success",
            "mode": execution.mode,
            "retryOf": None,
            "retrySuccessId": None,
            "status": "waiting" if waits else status,
            "startedAt": execution.at,
            "stoppedAt": execution.at if waits else execution.stopped_at,
            "workflowId": execution.workflow_id,
            "waitTill": None,
            "storedAt": "db",
            "jsonSizeBytes": len(json.dumps(content)),
            "workflowVersionId": execution.version_id,
        }
        return {**row, "data": content} if data else row


def _status(outcome: Outcome) -> str:
    if outcome.crash:
        return "crashed"
    return "success" if outcome.error is None else "error"


def _meets(execution: Execution, query: Mapping[str, str]) -> bool:
    if query.get("workflowId") not in {None, execution.workflow_id}:
        return False
    if not query.get("startedAfter", "") <= execution.at <= query.get("startedBefore", "9"):
        return False
    status = "waiting" if execution.outcome.waits and execution.stopped_at is None else None
    status = status or execution.status
    wanted = query.get("status")
    return status != "running" if wanted is None else status == wanted


def _data(execution: Execution) -> dict[str, Any]:
    entered = {"main": [[{"json": execution.item}]]}
    if execution.stopped_at is None or execution.status in {"crashed", "canceled"}:
        stack = [{"node": {"name": execution.node}, "data": entered, "source": None}]
        return {"resultData": {"runData": {}}, "executionData": {"nodeExecutionStack": stack}}
    runs: dict[str, Any] = {execution.node: [{"data": entered, "executionStatus": "success"}]}
    result: dict[str, Any] = {"runData": runs, "lastNodeExecuted": execution.last}
    if execution.outcome.error is not None:
        error = {
            "message": execution.outcome.error,
            "name": "NodeOperationError",
            "node": {"name": execution.last},
            "stack": f"NodeOperationError: {execution.outcome.error}\n    at ExecuteContext.execute",
        }
        result["error"] = error
        runs[execution.last] = [{"executionStatus": "error", "error": error}]
    else:
        items = [{"json": one} for one in output(execution)]
        done = {"data": {"main": [items]}, "executionStatus": "success"}
        runs[execution.last] = [*runs.get(execution.last, []), done]
    return {"resultData": result, "executionData": {"nodeExecutionStack": []}}


def output(execution: Execution) -> list[Any]:
    """Give the last node's items: as the script says, else those that came in."""
    if execution.outcome.output is not None:
        return execution.outcome.output
    body = execution.body if isinstance(execution.body, dict) else {}
    posted = [value for value in body.values() if isinstance(value, list) and value]
    return posted[0] if posted else [execution.item]


def _last_node(workflow: Workflow, node: str) -> str:
    """Follow the first connections from *node* to their end."""
    links = workflow.draft.connections
    seen = {node}
    while True:
        outputs = (links.get(node) or {}).get("main") or [[]]
        target = next((edge["node"] for edge in outputs[0] or []), None)
        if target is None or target in seen:
            return node
        seen.add(target)
        node = target


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
