"""What `why` says: the reason that counts comes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.engine.why import Circumstances, why_execution, why_resource
from reconciler.plan.restraint import Hold, Place, What
from reconciler.resource.address import Address
from reconciler.store.background import Known, Runtime
from reconciler.store.executions import Attempt, Execution, Summary
from reconciler.trigger.execution import Cause, Status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADDRESS = Address("acme", "Automation", "greet")
RUNTIME = Runtime(
    active=True,
    running=0,
    concurrency=5,
    breaker="CLOSED",
    breaker_until=None,
    failures_in_a_row=0,
    openings=0,
    executions=10,
    successes=9,
    failures=1,
    average_milliseconds=1500.0,
    queued=0,
    ahead=0,
)
HOLD = Hold(
    id="h1",
    place=Place(organization="acme"),
    what=frozenset({What.FIRE}),
    reason="counting stock",
    by="ops",
    since=NOW,
)


def execution(status: Status, *attempts: Attempt, **changes: Any) -> Execution:
    summary = Summary(
        id="e1",
        automation_id="a1",
        organization_id="o1",
        organization="acme",
        automation="greet",
        status=status,
        cause=Cause.WEBHOOK,
        trigger_id=None,
        trigger_name=None,
        created_at=NOW - timedelta(minutes=1),
        run_at=NOW - timedelta(minutes=1),
        started_at=NOW - timedelta(seconds=5),
        completed_at=None,
        milliseconds=None,
        attempt=max(1, len(attempts)),
        max_attempts=4,
        retry_count=0,
        n8n_execution_id=None,
        n8n_version_id=None,
        revision=None,
        retry_of=None,
        scheduled_for=None,
        cancel_requested_at=None,
        error_message=None,
        error_node=None,
    )
    return Execution(
        summary=replace(summary, **changes),
        trigger_data={},
        output=None,
        output_truncated=False,
        error_stack=None,
        metadata=None,
        idempotency_key=None,
        method=None,
        timeout_seconds=30,
        worker="w1",
        attempts=attempts,
    )


def attempt(number: int, begun: float, took: float, outcome: str = "FAILED") -> Attempt:
    start = NOW + timedelta(seconds=begun)
    return Attempt(
        attempt=number,
        worker="w1",
        n8n_execution_id=str(number),
        n8n_version_id=None,
        started_at=start,
        finished_at=start + timedelta(seconds=took),
        outcome=outcome,
        error="it broke",
        error_node="Break",
        milliseconds=round(took * 1000),
        adopted_at=None,
    )


def said(one: Execution, **around: Any) -> list[str]:
    circumstances = Circumstances(now=NOW, runtime=RUNTIME, address=ADDRESS)
    answers = why_execution(one, replace(circumstances, **around))
    return [answer.text for answer in answers if answer.about == "because"]


def test_a_failure_names_its_node_and_why_it_is_not_tried_again() -> None:
    broke = {"error_message": "it broke", "error_node": "Break"}
    assert ['node "Break" failed: it broke', "all 4 attempts were used"] == said(
        execution(Status.FAILED, attempt=4, **broke)
    )
    assert "trying again can't help with such an error" in said(execution(Status.FAILED, **broke))
    assert "it has one attempt (execution.retries is 0)" in said(
        execution(Status.FAILED, max_attempts=1)
    )


def test_the_gaps_between_attempts_are_told() -> None:
    one = execution(Status.FAILED, attempt(1, 0, 0.5), attempt(2, 2.5, 0.5), attempt(3, 7, 70))
    answers = why_execution(one, Circumstances(now=NOW, runtime=None, address=None))
    texts = {answer.about: answer.text for answer in answers}

    assert texts["attempt 1"].endswith('FAILED after 500 ms: node "Break": it broke')
    assert "(2.0 s after the one before)" in texts["attempt 2"]
    assert "(4.0 s after the one before) FAILED after 1 m 10 s" in texts["attempt 3"]


def test_the_other_ends() -> None:
    assert ["the workflow ran to its end"] == said(execution(Status.SUCCESS))
    assert ["the workflow ran to its end at attempt 2"] == said(
        execution(Status.SUCCESS, attempt=2)
    )
    assert ["it took longer than the automation may take (30 s), so it was stopped"] == said(
        execution(Status.TIMEOUT)
    )
    assert ["cancelled by a person"] == said(
        execution(Status.CANCELLED, error_message="cancelled by a person")
    )


@pytest.mark.parametrize(
    "runtime, text",
    [
        ({"active": False}, "its automation is switched off; what waits is cancelled"),
        ({"running": 5, "ahead": 2}, "as many runs of its automation go on as may: 5, and 2 more wait before it"),
        ({"breaker": "OPEN", "breaker_until": NOW}, "its automation failed again and again and is paused until 2026-03-01 12:00:00 UTC; then one run probes it"),
        ({"breaker": "HALF_OPEN"}, "its automation failed again and again: one run probes whether it works again"),
    ],
)  # fmt: skip
def test_what_an_execution_waits_for(runtime: dict[str, Any], text: str) -> None:
    assert [text] == said(execution(Status.QUEUED), runtime=replace(RUNTIME, **runtime))


def test_a_hold_and_a_retry_are_reasons_to_wait() -> None:
    assert ["runs of acme are held by ops: counting stock"] == said(
        execution(Status.QUEUED), holds=[HOLD]
    )
    later = {"run_at": NOW + timedelta(seconds=3), "error_message": "it broke", "attempt": 1}
    assert ["attempt 2 of 4 is to begin in 3.0 s, at 2026-03-01 12:00:03 UTC", "it broke"] == said(
        execution(Status.QUEUED, **later)
    )


def test_without_any_other_reason_no_worker_has_taken_it() -> None:
    first, second = said(execution(Status.QUEUED), runtime=replace(RUNTIME, ahead=3))
    assert first == "3 more of its automation wait before it"
    assert second.startswith("no worker has taken it")


def test_a_run_that_goes_on() -> None:
    texts = said(execution(Status.RUNNING, cancel_requested_at=NOW))
    assert texts[0] == "it has run for 5.0 s of at most 30 s, attempt 1 of 4"
    assert "its worker was asked to stop it at 2026-03-01 12:00:00 UTC" in texts


def known(**changes: Any) -> Known:
    values: dict[str, Any] = {
        "address": ADDRESS,
        "row_id": "a1",
        "object_id": "w1",
        "revision": "abc123",
        "applied_at": NOW,
        "removed_at": None,
        "conditions": (),
    }
    return Known(**{**values, **changes})


def about(one: Known | None, **more: Any) -> list[str]:
    values: dict[str, Any] = {"holds": (), "steps": (), "runtime": None, **more}
    return [answer.text for answer in why_resource(one, ADDRESS, **values)]


def test_a_resource_tells_what_the_daemon_found() -> None:
    condition = {"type": "Synced", "status": "False", "reason": "Drifted", "message": "changed in n8n", "since": NOW.isoformat()}  # fmt: skip
    retry = {**condition, "retry_at": NOW.isoformat()}
    assert [
        "it was applied at revision abc123 at 2026-03-01 12:00:00 UTC",
        "it is out of sync since 2026-03-01 12:00:00 UTC: changed in n8n",
    ] == about(known(conditions=[condition]))
    assert about(known(conditions=[retry]))[1].endswith("; tried again at 2026-03-01 12:00:00 UTC")
    synced = {**condition, "status": "True", "since": "by hand"}
    assert "it is in sync since by hand" == about(known(conditions=[synced]))[1]
    assert "no daemon has compared it" in about(known())[1]


def test_a_resource_that_is_gone_or_never_was() -> None:
    assert about(None) == ["it was never applied: nothing of this name is recorded"]
    assert about(known(removed_at=NOW))[0].startswith("it was removed at")
    assert "apply again" in about(known(applied_at=None))[0]


def test_an_automation_tells_how_its_runs_go() -> None:
    texts = about(known(), runtime=RUNTIME, holds=[HOLD])
    assert "acme: held by ops: counting stock" in texts
    assert "0 of at most 5 run, 0 wait; 9 of 10 succeeded, 1.5 s on average" in texts
    failing = replace(RUNTIME, failures_in_a_row=3, active=False)
    assert {"the last 3 failed", "it is switched off: nothing starts it"} <= set(
        about(known(), runtime=failing)
    )
