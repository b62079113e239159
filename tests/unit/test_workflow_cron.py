"""Cron as n8n reads it; each expression was tried on the library that n8n 2.40.5 uses."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.workflow.cron import Written, cron_expressions, cron_problem

GOOD = [
    "* * * * *", "*/5 * * * *", "0 9 * * 1-5", "0 9 * * mon-fri", "30 0 9 1 jan *", "@daily",
    "@WEEKDAYS", "0 0 * * 7", "0,15,30 8-18/2 * * *", "* * * * * *", "5/10 * * * *",
    " 0 9 * * * ", "0 9 1 JAN-mar *", "*/90 * * * *",
]  # fmt: skip
BAD = [
    "", "*", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
    "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "every day", "1* * * * *",
    "0 9 * * monday", "0 9 L * *", "0 9 ? * *", "0 9 * * 1#2", "-1 * * * *", "1,,2 * * * *",
    "@fortnightly", "1.5 * * * *",
]  # fmt: skip


@pytest.mark.parametrize("expression", GOOD)
def test_n8n_reads(expression: str) -> None:
    assert cron_problem(expression) is None


@pytest.mark.parametrize("expression", BAD)
def test_n8n_refuses(expression: str) -> None:
    assert cron_problem(expression)


def test_expressions_are_found_in_all_kinds_of_triggers() -> None:
    parameters: dict[str, Any] = {
        "rule": {"interval": [{}, {"field": "cronExpression", "expression": "a"}]},
        "triggerTimes": {"item": [{"mode": "custom", "cronExpression": "b"}, {"mode": "everyX"}]},
        "pollTimes": {"item": [{"mode": "custom", "cronExpression": "c"}]},
    }

    assert list(cron_expressions(parameters)) == [
        Written(("rule", "interval", 1, "expression"), "a"),
        Written(("triggerTimes", "item", 0, "cronExpression"), "b"),
        Written(("pollTimes", "item", 0, "cronExpression"), "c"),
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"rule": 3},
        {"rule": {"interval": "x"}},
        {"rule": {"interval": [3, {"field": "cronExpression", "expression": "={{ $json.c }}"}]}},
        {"pollTimes": {"item": [{"mode": "custom"}]}},
    ],
)
def test_what_is_made_at_run_time_or_misshapen_is_passed_over(parameters: dict[str, Any]) -> None:
    assert list(cron_expressions(parameters)) == []
