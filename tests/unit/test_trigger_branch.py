"""Which way into a workflow is taken, and what is posted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import ConfigError
from reconciler.trigger.branch import body, choose, correlation
from reconciler.trigger.execution import Branch, Cause, Claimed

HOOK = Branch(node="Webhook", field="items", kind="webhook", methods=("POST",))
CLOCK = Branch(node="Every Morning", field="items2", kind="schedule")
NIGHT = Branch(node="Every Night", field="items3", kind="schedule")
HAND = Branch(node="When clicking", field="items4", kind="manual")
SOME = Claimed(
    id="x1",
    automation_id="a1",
    organization_id="o1",
    organization="acme",
    automation="report",
    workflow_id="w1",
    branches=(HOOK, CLOCK, HAND),
    trigger_name=None,
    cause=Cause.WEBHOOK,
    method="POST",
    trigger_data={"n": 1},
    attempt=2,
    max_attempts=4,
    timeout_seconds=60,
    at_most_once=False,
    revision=None,
    n8n_execution_id=None,
    adopted=False,
)


@pytest.mark.parametrize(
    "cause, expected",
    [
        (Cause.WEBHOOK, HOOK),
        (Cause.SCHEDULE, CLOCK),
        (Cause.EVENT, HAND),
        (Cause.MANUAL, HAND),
        (Cause.API, HAND),
    ],
)
def test_a_cause_takes_the_branch_of_its_kind(cause: Cause, expected: Branch) -> None:
    assert expected == choose(replace(SOME, cause=cause))


def test_of_several_the_one_that_is_called_like_the_trigger_is_taken() -> None:
    several = replace(SOME, cause=Cause.SCHEDULE, branches=(HOOK, CLOCK, NIGHT))

    assert NIGHT == choose(replace(several, trigger_name="every-night"))
    assert CLOCK == choose(replace(several, trigger_name="report.every-morning"))


def test_a_name_decides_where_no_kind_fits() -> None:
    several = replace(SOME, cause=Cause.EVENT, branches=(HOOK, CLOCK))

    assert CLOCK == choose(replace(several, trigger_name="report.every-morning"))


@pytest.mark.parametrize("cause", list(Cause))
def test_a_single_way_in_is_taken_for_everything(cause: Cause) -> None:
    assert CLOCK == choose(replace(SOME, cause=cause, branches=(CLOCK,)))


@pytest.mark.parametrize(
    "branches, words",
    [
        ((), "has no trigger that the runtime serves"),
        ((CLOCK, NIGHT), 'has no webhook trigger, and several others: "Every Morning", "Every'),
        ((HOOK, replace(HOOK, node="Hook 2")), "has 2 webhook triggers and none was named"),
    ],
)
def test_a_guess_is_never_made(branches: tuple[Branch, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        choose(replace(SOME, branches=branches))


def test_one_branch_gets_the_items_and_all_others_none() -> None:
    assert body(SOME) == {"id": "x1:2", "items": [{"n": 1}], "items2": [], "items4": []}
    assert correlation(SOME) == "x1:2"


@pytest.mark.parametrize(
    "data, items",
    [
        ([{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 2}]),
        ({}, [{}]),
        ([], [{}]),
        (None, [{}]),
        ("text", [{"value": "text"}]),
        ([1, {"a": 2}], [{"value": 1}, {"a": 2}]),
    ],
)
def test_what_triggered_it_becomes_items(data: object, items: list[object]) -> None:
    posted = body(replace(SOME, trigger_data=data))  # type: ignore[arg-type]  # JSON of any shape

    assert items == posted["items"]


@pytest.mark.parametrize("method, output", [("get", 0), ("PUT", 2), ("DELETE", 0), (None, 0)])
def test_the_method_picks_the_output(method: str | None, output: int) -> None:
    hook = replace(HOOK, methods=("GET", "POST", "PUT"))

    assert output == body(replace(SOME, branches=(hook,), method=method))["output"]
