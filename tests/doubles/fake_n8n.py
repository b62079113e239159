"""An n8n in memory: the part of its HTTP surface that reconciler relies on.

The conformance suite runs the same tests against this and a real n8n; it is only
trusted because of that. `handle` is the whole server; `fake_n8n_api` calls it in
process, `fake_n8n_http` through httpx or a real socket. Workflows end as `script` says.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.doubles import fake_n8n_credentials, fake_n8n_rules, fake_n8n_workflows
from tests.doubles.fake_n8n_credentials import Credentials
from tests.doubles.fake_n8n_executions import Executions, Outcome, Script, output
from tests.doubles.fake_n8n_faults import Fault
from tests.doubles.fake_n8n_rules import NODE_TYPES, Refused
from tests.doubles.fake_n8n_state import State
from tests.doubles.fake_n8n_workflows import Workflows

Answer: TypeAlias = tuple[int, dict[str, str], bytes]
_JSON = {"content-type": "application/json; charset=utf-8"}
_HTML = {"content-type": "text/html; charset=utf-8"}
_SANDBOX = {"content-security-policy": "sandbox allow-downloads allow-forms"}  # of what runs say
_RELEASE = base64.b64encode(b'{"release":"n8n@2.40.5"}').decode()
_START_PAGE = f'<html><meta name="n8n:config:sentry" content="{_RELEASE}"></html>'.encode()
_LICENCE = (
    "Your license does not allow for {0}. "
    "To enable {0}, please upgrade to a license that supports this feature."
)
_AUDIT = {
    "Instance Risk Report": {
        "risk": "instance",
        "sections": [
            {
                "title": "Security settings",
                "settings": {"nodes": {"nodesExclude": "n8n-nodes-base.executeCommand"}},
            }
        ],
    }
}


@dataclass(frozen=True, slots=True)
class Logged:
    """One call as it came in, and the status it was answered with (None: no answer)."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int | None

    @property
    def is_write(self) -> bool:
        return self.method != "GET" and self.path.startswith("/api/v1")


class FakeN8n:
    """An n8n in memory; *lag* is the number of further calls until a publication takes effect."""

    def __init__(
        self,
        *,
        seed: int = 0,
        lag: int = 0,
        api_key: str = "fake-api-key",
        node_types: Collection[str] = NODE_TYPES,
        page_limit: int = 250,
    ) -> None:
        self.api_key = api_key
        self.page_limit = page_limit
        self.faults: list[Fault] = []
        self.calls: list[Logged] = []
        self.seed, self.lag, self.node_types = seed, lag, node_types
        self._lock = threading.RLock()
        self._script = Script()
        self.restore(State())

    # The state, for tests.

    def snapshot(self) -> State:
        """Keep the state; cheap, nothing is copied deeply."""
        return self.state.copy()

    def restore(self, state: State) -> None:
        """Go back to a snapshot, which stays as it is."""
        self.state = state.copy()
        self.workflows = Workflows(self.state, self.seed, self.node_types, self.lag)
        self.credentials = Credentials(self.state, self.seed)
        self.executions = Executions(self.state, self._script, self.page_limit)

    def settle(self) -> None:
        """Let all publications take effect now."""
        for id_ in list(self.state.pending):
            self.workflows.settle(id_)

    def writes(self) -> list[Logged]:
        """List the calls that could change something."""
        return [call for call in self.calls if call.is_write]

    def edit(self, id_: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a workflow's draft as a person does in the editor: without publishing."""
        shown = json.loads(json.dumps(self.workflows.get(id_)))
        body = {key: shown[key] for key in ("name", "nodes", "connections", "settings")}
        change(body)
        self.workflows.update(id_, body, publish=False)

    def stop_serving(self, id_: str) -> None:
        """Unpublish a workflow by hand, at once."""
        self.workflows.unpublish(id_)
        self.workflows.settle(id_)

    def script(self, workflow_id: str | None, *outcomes: Outcome) -> None:
        """Say how the next runs of a workflow (None: of any) go; after that they succeed."""
        self._script.queues.setdefault(workflow_id, deque()).extend(outcomes)

    def always(self, workflow_id: str | None, outcome: Outcome) -> None:
        """Say how all runs of a workflow (None: of any) go that no `script` speaks of."""
        self._script.always[workflow_id] = outcome

    def run_natively(self, workflow_id: str, *, node: str = "Telegram", **item: Any) -> str:
        """Start a run as one of n8n's own triggers does; give the execution's id."""
        with self._lock:
            workflow = self.state.workflows[workflow_id]
            version = workflow.live_id or workflow.version_id
            return self.executions.begin(workflow, version, "trigger", node, item).id

    # The server.

    def handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        """Answer one request; header names are in lower case. Raises Broken where a fault says so."""
        with self._lock:
            self.state.calls += 1
            hit = next((fault for fault in self.faults if fault.meets(method, path)), None)
            status: int | None = None
            try:
                answer = self._with_fault(
                    hit, lambda: self._answer(method, path, query, headers, body)
                )
                status = answer[0]
                return answer
            finally:
                self.calls.append(Logged(method, path, dict(query), _parsed(body), status))
                self._tick()

    def _with_fault(self, fault: Fault | None, proceed: Callable[[], Answer]) -> Answer:
        if fault is None:
            return proceed()
        if fault.act is not None:
            fault.act(self)
        if fault.trouble is None:
            return proceed()
        if fault.after:
            proceed()
        return fault.answer()

    def _tick(self) -> None:
        if self.state.pending:
            for id_, due in list(self.state.pending.items()):
                if due <= self.state.calls:
                    self.workflows.settle(id_)

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        if not path.startswith("/api/v1/"):
            return self._outside(method, path, headers, body)
        if headers.get("x-n8n-api-key") != self.api_key:
            return _json(401, {"message": "Unauthorized"})
        parsed: Any = None
        if body:
            if not headers.get("content-type", "").startswith("application/json"):
                kind = headers.get("content-type", "undefined")
                return _json(415, {"message": f"unsupported media type {kind}"})
            try:
                parsed = json.loads(body)
            except ValueError:
                return 500, _HTML, b"<pre>ResponseError: Failed to parse request body<br></pre>"
        try:
            return _json(200, self._route(method, path[8:].split("/"), dict(query), parsed))
        except Refused as refusal:
            return _json(refusal.status, {"message": refusal.message})

    def _route(self, method: str, parts: list[str], query: dict[str, str], body: Any) -> Any:
        match method, parts:
            case _, ["workflows", *rest]:
                return self._workflow(method, rest, query, body)
            case _, ["credentials", *rest]:
                return self._credential(method, rest, query, body)
            case _, ["executions", *rest]:
                return self._execution(method, rest, query)
            case "GET", ["tags"]:
                return self._page([], query, lambda row: row)
            case "GET", ["discover"]:
                return {"data": {"scopes": ["workflow:create", "workflow:list"], "resources": {}}}
            case "GET", ["community-packages"]:
                return []
            case "POST", ["audit"]:
                return _AUDIT
            case _, ["variables" | "projects" as licensed, *_]:
                raise Refused(403, _LICENCE.format(f"feat:{licensed}"))
        raise Refused(404, "not found")

    def _workflow(self, method: str, rest: list[str], query: dict[str, str], body: Any) -> Any:
        match method, rest:
            case "GET", []:
                plain = query.get("excludePinnedData") == "true"
                return self._page(
                    self.workflows.listing(query),
                    query,
                    lambda found: fake_n8n_workflows.row(found, without_pins=plain),
                )
            case "POST", []:
                return self.workflows.create(body)
            case "GET", [id_]:
                return self.workflows.get(id_)
            case "PUT", [id_]:
                publish = query.get("publishIfActive") != "false"
                return self.workflows.update(id_, body, publish=publish)
            case "DELETE", [id_]:
                return self.workflows.delete(id_)
            case "POST", [id_, "publish" | "activate"]:
                return self.workflows.publish(id_, body)
            case "POST", [id_, "unpublish" | "deactivate"]:
                return self.workflows.unpublish(id_)
            case "POST", [id_, "archive"]:
                return self.workflows.archive(id_)
            case "POST", [id_, "unarchive"]:
                return self.workflows.unarchive(id_)
            case "GET", [id_, "versions", version]:
                return self.workflows.version(id_, version)
        raise Refused(405, f"{method} method not allowed")

    def _credential(self, method: str, rest: list[str], query: dict[str, str], body: Any) -> Any:
        match method, rest:
            case "GET", []:
                return self._page(self.credentials.listing(), query, fake_n8n_credentials.row)
            case "POST", []:
                return self.credentials.create(body)
            case "GET", ["schema", type_]:
                return self.credentials.schema(type_)
            case "GET", [id_]:
                return self.credentials.get(id_)
            case "PATCH", [id_]:
                return self.credentials.update(id_, body)
            case "DELETE", [id_]:
                return self.credentials.delete(id_)
            case "POST", [id_, "test"]:
                self.credentials.get(id_)
                return {"status": "OK", "message": "Connection successful!"}
        raise Refused(405, f"{method} method not allowed")

    def _execution(self, method: str, rest: list[str], query: dict[str, str]) -> Any:
        match method, rest:
            case "GET", []:
                return self.executions.listing(query)
            case "GET", [id_]:
                return self.executions.get(id_, query)
            case "DELETE", [id_]:
                return self.executions.delete(id_)
            case "POST", [id_, "stop"]:
                return self.executions.stop(id_)
        raise Refused(405, f"{method} method not allowed")

    def _page(self, found: list[Any], query: dict[str, str], show: Callable[[Any], Any]) -> Any:
        limit, offset = int(query.get("limit", 100)), int(query.get("offset", 0))
        if limit < 0:
            raise Refused(400, "request/query/limit Param `limit` must be a non-negative integer")
        limit = min(limit, self.page_limit)
        if "cursor" in query:
            try:
                inner = json.loads(base64.b64decode(query["cursor"]))
                limit, offset = inner["limit"], inner["offset"]
            except (ValueError, KeyError) as error:
                raise Refused(400, "An invalid cursor was provided") from error
        rest = json.dumps({"limit": limit, "offset": offset + limit}, separators=(",", ":"))
        more = offset + limit < len(found)
        return {
            "data": [show(item) for item in found[offset : offset + limit]],
            "nextCursor": base64.b64encode(rest.encode()).decode() if more else None,
        }

    # What is not the API.

    def _outside(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if path.startswith("/webhook/"):
            return self._webhook(method, path.removeprefix("/webhook/").strip("/"), headers, body)
        if path in {"/healthz", "/healthz/readiness"}:
            return _json(200, {"status": "ok"})
        if path.startswith(("/rest/", "/types/")):
            return _json(401, {"status": "error", "message": "Unauthorized"})
        return 200, _HTML, _START_PAGE

    def _webhook(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        owner = self.state.hooks.get((method, path))
        workflow = self.state.workflows.get(owner) if owner else None
        live = workflow.live if workflow else None
        if workflow is None or live is None:
            message = f'The requested webhook "{method} {path}" is not registered.'
            return _json(404, {"code": 404, "message": message})
        node = next(n for m, p, n in fake_n8n_rules.hooks(live.nodes) if (m, p) == (method, path))
        refusal = self._refused_at_the_door(node, headers)
        if refusal is not None:
            return refusal
        if headers.get("content-type", "").startswith("application/json") and body:
            try:
                json.loads(body)
            except ValueError:
                return _json(422, {"code": 422, "message": "Failed to parse request body"})
        item = {
            "headers": dict(headers),
            "params": {},
            "query": {},
            "body": _parsed(body) or {},
            "webhookUrl": f"http://localhost/webhook/{path}",
            "executionMode": "production",
        }
        execution = self.executions.begin(workflow, live.id, "webhook", str(node["name"]), item)
        match (node.get("parameters") or {}).get("responseMode"):
            case "responseNode" if execution.outcome.respond is not None:
                status, more, content = execution.outcome.respond
                return status, {**more, **_SANDBOX}, content
            case "lastNode" | "responseNode" if execution.outcome.error is not None:
                return _json(500, {"message": "Error in workflow"})
            case "lastNode":
                return _marked(_json(200, next(iter(output(execution)), {})))
            case "responseNode":
                return 200, _HTML, b""
        return _marked(_json(200, {"message": "Workflow was started"}))

    def _refused_at_the_door(
        self, node: dict[str, Any], headers: Mapping[str, str]
    ) -> Answer | None:
        if (node.get("parameters") or {}).get("authentication") != "headerAuth":
            return None
        bound = (node.get("credentials") or {}).get("httpHeaderAuth") or {}
        credential = self.state.credentials.get(str(bound.get("id")))
        if credential is None or not credential.data.get("name"):
            return 500, _HTML, b"No authentication data defined on node!"
        sent = headers.get(credential.data["name"].lower())
        if sent != credential.data.get("value"):
            return 403, _HTML, b"Authorization data is wrong!"
        return None


def _json(status: int, value: Any) -> Answer:
    return status, _JSON, json.dumps(value, separators=(",", ":")).encode()


def _marked(answer: Answer) -> Answer:
    """Mark words of a run, which n8n's own are not."""
    status, headers, content = answer
    return status, {**headers, **_SANDBOX}, content


def _parsed(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body
