"""A spec folder of workflows that run in a real n8n, and what n8n says that they did.

Not here: workers (`tests.acceptance.fleet`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from reconciler.n8n.client import N8n
from reconciler.n8n.outcome import Run
from reconciler.n8n.runs import Runs
from tests.acceptance.conftest import Stage
from tests.acceptance.repository import node

Remark = Callable[[str, object], None]


def chain(*nodes: Any) -> Any:
    """Make a workflow of *nodes*, one after another."""
    names = [one["name"] for one in nodes]
    return {
        "name": "chain",
        "nodes": list(nodes),
        "connections": {
            name: {"main": [[{"node": after, "type": "main", "index": 0}]]}
            for name, after in itertools.pairwise(names)
        },
        "settings": {"executionOrder": "v1"},
    }


def start() -> Any:
    return node("Start", "manualTrigger", {}, [0, 0])


def quick() -> Any:
    """A workflow that passes its items on."""
    return chain(start(), node("Pass", "noOp", {}, [220, 0]))


def slow(seconds: float) -> Any:
    """A workflow that takes its time."""
    wait = node("Wait", "wait", {"amount": seconds, "unit": "seconds"}, [220, 0], typeVersion=1.1)
    return chain(start(), wait, node("Pass", "noOp", {}, [440, 0]))


def poison(message: str) -> Any:
    """A workflow that always fails."""
    return chain(start(), node("Refuse", "stopAndError", {"errorMessage": message}, [220, 0]))


@dataclass(frozen=True, slots=True)
class Plant:
    """A stage with automations in a real n8n."""

    stage: Stage

    def automation(self, name: str, workflow: Any, **execution: Any) -> None:
        """Declare an automation that runs *workflow*."""
        limits = {"concurrency": 20, "timeout": "60s", **execution}
        self.stage.repository.automation(name, execution=limits).workflow(name, workflow)

    def apply(self) -> dict[str, str]:
        """Apply; return the ids of the automations by their names."""
        self.stage.repository.organization()
        self.stage.shell.apply()
        rows = self.stage.rows(
            "SELECT name, row_id FROM reconciler.resources WHERE kind = 'Automation'"
        )
        return {str(name): str(id_) for name, id_ in rows}

    def env(self, **more: str) -> dict[str, str]:
        """Settings for workers."""
        return {**self.stage.shell.env, **more}

    async def runs(self) -> list[Run]:
        """What n8n ran of our workflows, oldest first."""
        ours = {str(row[0]) for row in self.stage.rows('SELECT "n8nWorkflowId" FROM automations')}
        env = self.stage.shell.env
        async with N8n(env["N8N_URL"], env["N8N_API_KEY"]) as api:
            runs = Runs(api)
            found = [
                runs.read(row)
                for id_ in sorted(ours)
                async for row in runs.listed(workflowId=id_, data=True, limit=100)
            ]
            await runs.aclose()
        return sorted(found, key=lambda run: int(run.id))

    async def repeated(self) -> dict[str, int]:
        """Executions that n8n ran more than once, and how often."""
        counted = Counter((run.correlation or "?").partition(":")[0] for run in await self.runs())
        return {id_: count for id_, count in counted.items() if count > 1}

    def row(self, id_: str) -> dict[str, Any]:
        """All that is recorded of an execution."""
        [[row]] = self.stage.rows(
            "SELECT to_jsonb(e) FROM workflow_executions AS e WHERE id = %s", id_
        )
        assert isinstance(row, dict)
        return row


def wait_for_n8n(url: str) -> bool:
    """Tell whether n8n answers."""
    try:
        return httpx.get(f"{url}/healthz/readiness", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
