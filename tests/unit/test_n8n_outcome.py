"""Reading n8n's executions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.n8n.outcome import Run, RunState, cut, read_run
from reconciler.workflow.entry import ENTRY_HEADER, ENTRY_NAME


def task(*items: Any, index: int = 0, **more: Any) -> Any:
    return [
        {"executionIndex": index, "data": {"main": [[{"json": item} for item in items]]}, **more}
    ]


def row(status: str = "success", **result: Any) -> Any:
    return {
        "id": "7",
        "workflowId": "w",
        "workflowVersionId": "v",
        "mode": "webhook",
        "status": status,
        "startedAt": "2026-01-01T00:00:00.000Z",
        "stoppedAt": "2026-01-01T00:00:01.000Z",
        "jsonSizeBytes": 12,
        "data": {"resultData": result},
    }


def test_the_output_is_what_the_last_node_gave_last() -> None:
    runs = {"A": task({"a": 1}), "B": [*task({"b": 1}), *task({"b": 2}, {"b": 3})]}
    run = read_run(row(lastNodeExecuted="B", runData=runs))
    assert (run.state, run.output, run.truncated) == (
        RunState.SUCCESS,
        [{"b": 2}, {"b": 3}],
        False,
    )
    assert run.started_at is not None
    assert run.size == 12


def test_all_outputs_of_the_last_node_count() -> None:
    last = [{"data": {"main": [None, [], [{"json": {"no": 1}}]]}}]
    assert read_run(row(lastNodeExecuted="If", runData={"If": last})).output == [{"no": 1}]


def test_files_are_named_and_not_copied() -> None:
    item = {"json": {}, "binary": {"data": {"data": "AAAA", "fileName": "a.pdf"}}}
    last = [{"data": {"main": [[item]]}}]
    run = read_run(row(lastNodeExecuted="Read", runData={"Read": last}))
    assert run.output == [{"$binary": {"data": {"fileName": "a.pdf"}}}]


def test_an_error_has_message_detail_node_and_stack() -> None:
    error = {
        "message": "Bad request",
        "description": "no such id",
        "node": {"name": "Call"},
        "stack": "at x",
    }
    run = read_run(row("error", error=error, lastNodeExecuted="Call", runData={}))
    assert (run.error_message, run.error_node, run.error_stack) == (
        "Bad request: no such id",
        "Call",
        "at x",
    )
    assert run.output is None


@pytest.mark.parametrize("status", ["error", "crashed", "canceled"])
def test_an_end_without_words_is_explained(status: str) -> None:
    run = read_run({**row(status), "data": None})
    assert run.ended
    assert run.error_message


@pytest.mark.parametrize(
    "fields, state",
    [
        ({"stoppedAt": None}, RunState.RUNNING),
        ({"finished": True}, RunState.SUCCESS),
        ({"finished": False}, RunState.CRASHED),
    ],
)
def test_an_unknown_status_is_derived(fields: Any, state: RunState) -> None:
    assert read_run({**row("unknown"), **fields}).state is state


def test_the_correlation_id_is_found_before_and_after_the_entry_ran() -> None:
    item = {"body": {"id": "x:1"}}
    after = row(runData={ENTRY_NAME: task(item)})
    before = row("running")
    before["data"] = {
        "executionData": {
            "nodeExecutionStack": [
                {"node": {"name": ENTRY_NAME}, "data": {"main": [[{"json": item}]]}}
            ]
        }
    }
    assert (read_run(after).correlation, read_run(before).correlation) == ("x:1", "x:1")


def test_other_nodes_have_no_correlation_id() -> None:
    item = {"body": {"id": "x:1"}}
    assert read_run(row(runData={"Webhook": task(item)})).correlation is None


def test_what_came_in_is_what_the_first_node_gave() -> None:
    runs = {"B": task({"b": 1}, index=1), "A": task({"a": 1}, index=0)}
    run = read_run(row(lastNodeExecuted="B", runData=runs), entered=True)
    assert (run.start_node, run.entered) == ("A", [{"a": 1}])


def test_headers_that_prove_who_called_are_hidden() -> None:
    headers = {ENTRY_HEADER.lower(): "hush", "authorization": "Bearer hush", "accept": "*/*"}
    runs = {"A": task({"headers": headers, "body": {"headers": "mine"}})}
    run = read_run(row(lastNodeExecuted="A", runData=runs), entered=True)
    assert "hush" not in repr(run)
    hidden = {ENTRY_HEADER.lower(): "[hidden]", "authorization": "[hidden]", "accept": "*/*"}
    assert run.output == [{"headers": hidden, "body": {"headers": "mine"}}]


def test_output_is_cut_at_whole_items() -> None:
    items: list[Any] = [{"text": "x" * 100} for _ in range(100)]
    kept, cut_off = cut(items, 1000)
    assert cut_off
    assert kept == items[: len(kept)]
    assert 0 < len(json.dumps(kept)) <= 1000
    assert cut(items, 100_000) == (items, False)


def test_one_item_that_is_too_large_keeps_its_beginning() -> None:
    kept, cut_off = cut([{"id": 7, "text": "x" * 100_000}], 4000)
    assert cut_off
    assert [item["id"] for item in kept if isinstance(item, dict)] == [7]
    assert cut([["x"] * 100_000], 4000) == ([], True)


def test_what_postgresql_can_not_hold_is_replaced() -> None:
    kept, cut_off = cut([{"a\0": "b\0c", "half": "\ud800", "ok": "\\u0000"}], 1000)
    assert not cut_off
    text = json.dumps(kept, ensure_ascii=False)
    text.encode()
    assert "\0" not in text
    assert isinstance(kept[0], dict)
    assert kept[0]["ok"] == "\\u0000"


def test_a_row_of_nonsense_is_no_crash() -> None:
    nonsense: Any = {"id": 3, "status": ["x"], "data": [1], "startedAt": "yesterday"}
    assert isinstance(read_run(nonsense), Run)


def test_what_is_nested_too_deeply_is_left_out() -> None:
    deep: Any = "x" * 5000
    for _ in range(5000):
        deep = [deep]
    assert cut([deep], 1000) == ([], True)


@pytest.mark.parametrize("depth, truncated", [(198, False), (199, True), (400, True)])
def test_output_is_cut_where_it_is_nested_deeper_than_its_readers_go(
    depth: int, truncated: bool
) -> None:
    value: Any = 1
    for number in range(depth):
        value = [value] if number % 2 else {"a": value}

    items, cut_off = cut([{"deep": value, "flat": "[{" * 200}], 100_000)

    assert truncated is cut_off
    assert truncated is ("nested too deeply" in str(items))
    assert [{"deep": value, "flat": "[{" * 200}] == items or truncated
    json.loads(json.dumps(items))
