"""Rows that people edit in PostgreSQL show as drift, and are put back on request."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.records import differences, normal_rows

TRIGGER = {"name": "mornings", "type": "SCHEDULE", "cron": "0 9 * * 1-5", "timezone": "UTC"}


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


EDITS = {
    "renamed": ("UPDATE automations SET name = 'by hand'", "Automation/greet"),
    "switched off": ('UPDATE automations SET "isActive" = false', "Automation/greet"),
    "another workflow": ("UPDATE automations SET \"n8nWorkflowId\" = 'x'", "Automation/greet"),
    "no workflow": ('UPDATE automations SET "n8nWorkflowId" = NULL', "Automation/greet"),
    "other tags": ("UPDATE automations SET tags = '{by,hand}'", "Automation/greet"),
    "other config": ("UPDATE automations SET \"triggerConfig\" = '{}'", "Automation/greet"),
    "digits that nobody can read": (
        "UPDATE automations SET metadata = '{\"n\": 1e5000}'",
        "Automation/greet",
    ),
    "deeper than anybody reads": (
        f"UPDATE automations SET \"triggerConfig\" = '{nested(3000)}'",
        "Automation/greet",
    ),
    "deeper than anybody compares": (
        f"UPDATE automations SET metadata = jsonb_build_object('reconciler', '{nested(700)}'::jsonb)",
        "Automation/greet",
    ),
    "filters that nobody can read": (
        f"UPDATE workflow_triggers SET \"eventFilters\" = '{nested(900)}'",
        "Trigger/greet.mornings",
    ),
    "other limits": (
        "UPDATE reconciler.automation_runtime SET max_concurrency = 99",
        "Automation/greet",
    ),
    "no bound of its own": (
        "UPDATE reconciler.automation_runtime SET max_queued = NULL WHERE max_queued = 100",
        "Automation/greet",
    ),
    "trigger off": ('UPDATE workflow_triggers SET "isActive" = false', "Trigger/greet.mornings"),
    "trigger gone": ("DELETE FROM workflow_triggers", "Trigger/greet.mornings"),
    "another cron": (
        "UPDATE workflow_triggers SET \"cronSchedule\" = '* * * * *'",
        "Trigger/greet.mornings",
    ),
    "secret damaged": (
        "UPDATE integration_credentials SET \"credentialData\" = 'garbage'",
        "Credential/door",
    ),
    "credential gone": ("DELETE FROM integration_credentials", "Credential/door"),
    "organization renamed": ("UPDATE organization SET name = 'by hand'", "Organization/acme"),
    "nobody is a member": ("DELETE FROM reconciler.memberships", "Organization/acme"),
}


def prepare(stage: Stage) -> None:
    stage.repository.organization().credential("door", "A_SECRET")
    stage.repository.automation(
        "greet", triggers=[TRIGGER], tags=["one"], execution={"maxQueued": 100}
    )
    stage.shell.apply()


@pytest.mark.parametrize("repair", [("drift", "--repair"), ("apply",)], ids=lambda words: words[0])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_row_is_drift_and_is_put_back(
    on_fake: Stage, edit: str, repair: tuple[str, ...]
) -> None:
    prepare(on_fake)
    before = normal_rows(on_fake.database_url)
    query, address = EDITS[edit]
    on_fake.rows(query)

    seen = on_fake.shell.run("drift", "-o", "json")

    assert 2 == seen.code, seen.said
    assert [f"acme/{address}"] == [drift["address"] for drift in seen.document["drift"]]
    on_fake.shell.ok(*repair, "-y")
    assert [] == differences(before, normal_rows(on_fake.database_url))
    assert 0 == on_fake.shell.run("drift").code
    on_fake.shell.no_changes()


def test_counters_that_the_runtime_moves_are_no_drift(on_fake: Stage) -> None:
    prepare(on_fake)

    on_fake.rows('UPDATE automations SET "executionCount" = 7, "lastExecutedAt" = now()')
    on_fake.rows('UPDATE workflow_triggers SET "triggerCount" = 7, "lastTriggeredAt" = now()')

    assert 0 == on_fake.shell.run("drift").code
    on_fake.shell.no_changes()


def test_rows_of_others_are_left_alone(on_fake: Stage) -> None:
    prepare(on_fake)
    on_fake.rows(
        "INSERT INTO organization (id, name, \"updatedAt\") VALUES ('o1', 'theirs', now())"
    )
    on_fake.rows(
        'INSERT INTO automations (id, "orgId", name, "triggerType", "triggerConfig", "createdById", '
        "\"updatedAt\") SELECT 'a1', 'o1', 'acme greet', 'MANUAL', '{}', id, now() FROM users LIMIT 1"
    )
    theirs = on_fake.rows("SELECT * FROM automations WHERE id = 'a1'")

    on_fake.shell.no_changes()
    on_fake.repository.drop("greet")
    on_fake.shell.run("apply", "-y", "--prune", "--allow-remove", "9")

    assert theirs == on_fake.rows("SELECT * FROM automations WHERE id = 'a1'")
