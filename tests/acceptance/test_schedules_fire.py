"""A schedule from its spec to its run in a real n8n, by a real daemon."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.repository import node
from tests.daemon_rig import listening, until

pytestmark = [pytest.mark.n8n, pytest.mark.postgres, pytest.mark.slow]

DAILY = {"name": "daily", "type": "SCHEDULE", "cron": "30 7 * * *", "timezone": "Asia/Kathmandu"}


def scheduled_workflow() -> Any:
    """Make a workflow that starts by schedule and looks at what its trigger said."""
    fields = [
        {"id": name, "name": name, "value": value, "type": "string"}
        for name, value in (
            ("zone", "={{ $json.Timezone }}"),
            ("at", "={{ $('Every day').item.json.timestamp }}"),
        )
    ]
    rule = {"interval": [{"field": "days", "triggerAtHour": 7}]}
    return {
        "name": "scheduled",
        "nodes": [
            node("Every day", "scheduleTrigger", {"rule": rule}, [0, 0], typeVersion=1.2),
            node("Say", "set", {"assignments": {"assignments": fields}, "options": {}}, [220, 0]),
        ],
        "connections": {"Every day": {"main": [[{"node": "Say", "type": "main", "index": 0}]]}},
        "settings": {"executionOrder": "v1"},
    }


def test_a_due_schedule_runs_its_workflow_with_the_item_of_n8ns_own_trigger(
    on_real: Stage, tmp_path: Path
) -> None:
    on_real.repository.organization().automation("report", triggers=[DAILY])
    on_real.repository.workflow("report", scheduled_workflow())
    on_real.shell.apply()
    env = {name: on_real.shell.env[name] for name in ("N8N_URL", "N8N_API_KEY", "ENCRYPTION_KEY")}
    env["DATABASE_URL"] = on_real.database_url
    words = ("--roles", "scheduler,worker", "--log-format", "json")
    next_fire = 'SELECT count(*) FROM workflow_triggers WHERE "nextFireAt" IS NOT NULL'

    with listening(tmp_path, env, *words) as daemon:
        until(lambda: on_real.value(next_fire) == 1, "taking the schedule in")
        on_real.rows(
            "UPDATE workflow_triggers SET \"nextFireAt\" = date_trunc('minute', "
            "clock_timestamp() AT TIME ZONE 'UTC')"
        )
        ended = "SELECT count(*) FROM workflow_executions WHERE status NOT IN ('QUEUED', 'RUNNING')"
        until(lambda: on_real.value(ended) == 1, "the run")
        daemon.signal()
        assert 0 == daemon.end()

    [[status, output, error, scheduled_for]] = on_real.rows(
        'SELECT status::text, "outputData", "errorMessage", "scheduledFor" FROM workflow_executions'
    )
    assert ("SUCCESS", None) == (status, error)
    assert isinstance(scheduled_for, datetime)
    [said] = re.findall(r'"at": "([^"]+)"', json.dumps(output))
    assert "Asia/Kathmandu (UTC+05:45)" in json.dumps(output)
    assert said.endswith("+05:45")
    assert datetime.fromisoformat(said) == scheduled_for.replace(tzinfo=UTC)
    listed = on_real.shell.ok("executions", "list", "-o", "json").document
    assert ["schedule"] == [one["cause"] for one in listed["executions"]]
