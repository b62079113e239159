"""What `executions watch` tells: each step once, also those that came and went between two looks."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import click
import pytest

from reconciler.cli import tables, watching
from reconciler.cli.watching import Story, steps
from reconciler.store.executions import Summary
from reconciler.trigger.execution import Status
from tests.unit.test_engine_why import NOW, execution


def seen(status: Status, **changes: Any) -> Summary:
    values: dict[str, Any] = {"created_at": NOW, "run_at": NOW, "started_at": None, "attempt": 0}
    return replace(execution(status).summary, **{**values, **changes})


def later(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


QUEUED = seen(Status.QUEUED)
RUNNING = seen(Status.RUNNING, started_at=later(1), attempt=1)
ENDED = seen(Status.SUCCESS, started_at=later(1), attempt=1, completed_at=later(2))


def told(story: Story, *found: Summary) -> list[tuple[str, str, int]]:
    return [(s.execution.id, s.status.value, s.attempt) for s in story.news(found)]


def test_each_step_is_told_once() -> None:
    story = Story()
    assert [("e1", "QUEUED", 0)] == told(story, QUEUED)
    assert [] == told(story, QUEUED)
    assert [("e1", "RUNNING", 1)] == told(story, RUNNING)
    assert [("e1", "SUCCESS", 1)] == told(story, ENDED)
    assert [] == told(story, ENDED)
    assert [] == story.open()


def test_what_came_and_went_between_two_looks_is_told_in_order_with_its_times() -> None:
    assert [("e1", "QUEUED", 0), ("e1", "RUNNING", 1), ("e1", "SUCCESS", 1)] == told(Story(), ENDED)
    assert [later(0), later(1), later(2)] == [step.at for step in steps(ENDED)]


def test_a_retry_is_a_step_of_its_own() -> None:
    story = Story()
    waits = seen(Status.QUEUED, started_at=later(1), attempt=1, run_at=later(4))
    told(story, RUNNING)
    assert [("e1", "QUEUED", 1)] == told(story, waits)
    assert [("e1", "RUNNING", 2)] == told(story, replace(RUNNING, attempt=2, started_at=later(4)))


def test_a_run_that_was_cancelled_before_it_began_never_ran() -> None:
    cancelled = seen(Status.CANCELLED, completed_at=later(1))
    assert [("e1", "QUEUED", 0), ("e1", "CANCELLED", 0)] == told(Story(), cancelled)


def test_several_executions_are_told_in_the_order_of_time() -> None:
    other = replace(
        ENDED, id="e2", created_at=later(0.5), started_at=later(0.7), completed_at=later(9)
    )
    order = [id_ for id_, _, _ in told(Story(), other, ENDED)]
    assert ["e1", "e2", "e2", "e1", "e1", "e2"] == order
    story = Story()
    told(story, other, QUEUED)
    assert ["e1"] == story.open()


class Terminal(io.StringIO):
    """What is written to a terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Give what the live table shows at its end of executions and their outputs."""
    monkeypatch.setattr(tables, "is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("TERM", "xterm")

    def draw(found: list[Summary], outputs: dict[str, object]) -> list[str]:
        screen, story = Terminal(), Story()
        monkeypatch.setattr(sys, "stdout", screen)
        table = watching._Table()
        ends = [(step, outputs.get(step.execution.id)) for step in story.news(found)]
        table.tell([(s, out if s.status is Status.SUCCESS else None) for s, out in ends], story)
        table.tell([], story)
        table.end()
        plain = click.unstyle(screen.getvalue()).replace("\r", "")
        last = plain[plain.rindex("EXECUTION") :]  # it is drawn again at the end
        return [line.rstrip() for line in last.splitlines() if line.strip()]

    return draw


def test_the_live_table_shows_the_output_below_what_ended(drawn: Callable[..., list[str]]) -> None:
    other = replace(RUNNING, id="e2", created_at=later(-1))
    shown = drawn([ENDED, other], {"e1": {"vendor": "Müller", "total": 12}})
    at = next(n for n, line in enumerate(shown) if line.startswith("e1"))
    assert '  output: {"vendor": "Müller", "total": 12}' == shown[at + 1]
    assert shown[at + 2].startswith("e2")


@pytest.mark.parametrize("text", ["x" * 4000, "請" * 4000, "\x9b31m\u202e" * 90])
def test_an_output_takes_one_line_of_the_terminal(
    text: str, drawn: Callable[..., list[str]]
) -> None:
    from rich.cells import cell_len

    shown = drawn([ENDED], {"e1": text})
    [output] = [line for line in shown if "output:" in line]
    assert output == shown[-1]
    assert output.endswith("…")
    assert 78 <= cell_len(output) <= 80
    assert "\x9b" not in output
    assert "\u202e" not in output


def test_the_live_table_is_never_higher_than_the_terminal(drawn: Callable[..., list[str]]) -> None:
    many = [replace(ENDED, id=f"e{n:02}", created_at=later(n / 100)) for n in range(20)]
    shown = drawn(many, {one.id: [1] for one in many})
    assert 1 == sum(line.startswith("e19") for line in shown)
    assert len(shown) == 23
