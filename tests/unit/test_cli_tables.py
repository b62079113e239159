"""Tables fit the terminal: what matters least goes first, and a pipe gets everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from reconciler.cli import schedules, tables
from reconciler.cli.execution_view import SHORT_ID, list_table
from reconciler.store.executions import Summary
from reconciler.store.schedule_list import ScheduleEntry
from reconciler.trigger.execution import Cause, Status

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
ID = "tz4a98xxat96iws9zmbrgj3a"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(tables, "is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


def execution(**fields: Any) -> Summary:
    usual: dict[str, Any] = {
        name: None for name in Summary.__dataclass_fields__ if name not in fields
    }
    return Summary(
        **{
            **usual,
            "id": ID,
            "organization": "acme",
            "automation": "invoice-intake",
            "status": Status.SUCCESS,
            "cause": Cause.WEBHOOK,
            "created_at": NOW,
            "milliseconds": 59_432,
            "attempt": 1,
            "max_attempts": 4,
            "retry_count": 0,
            **fields,
        }
    )


def schedule(**fields: Any) -> ScheduleEntry:
    return ScheduleEntry(
        **{
            "id": "t1",
            "automation_id": "a1",
            "organization": "acme",
            "automation": "report",
            "name": "mornings",
            "title": "Report",
            "cron": "0 9 * * 1-5",
            "zone": "Europe/Berlin",
            "misfire": "fire_once",
            "overlap": "skip",
            "jitter_seconds": 0,
            "active": True,
            "automation_active": True,
            "next_fire": NOW + timedelta(hours=3, minutes=30),
            "last_fire": NOW - timedelta(days=3),
            "count": 7,
            "problem": None,
            **fields,
        }
    )


FAILED = {"status": Status.CANCELLED, "error_node": "Book", "error_message": "no such vendor" * 9}
EXECUTIONS = [
    [execution()],
    [execution(), execution(**FAILED)],
    [execution(automation="a-very-long-name-of-an-automation-that-ends-in-seven", **FAILED)],
]
SCHEDULES = [
    [(schedule(), "active")],
    [(schedule(), "active"), (schedule(automation="digest", cron="*/5 * * * *"), "automation off")],
    [(schedule(problem="no such zone as Europe/Berln; mend it"), "broken")],
    [(schedule(automation="a-very-long-name-of-an-automation", zone="America/Argentina/Ushuaia"), "held")],
]  # fmt: skip


def lines(text: str) -> list[str]:
    return click.unstyle(text).splitlines()


@pytest.mark.parametrize("found", EXECUTIONS)
@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_a_list_of_executions_fits(
    found: list[Summary], columns: int, terminal: pytest.MonkeyPatch
) -> None:
    terminal.setenv("COLUMNS", str(columns))
    head, *rows = lines(list_table(found))

    assert max(len(line) for line in (head, *rows)) <= columns
    assert all(row.startswith(ID[:SHORT_ID]) for row in rows)
    assert all(one.status.value in row for one, row in zip(found, rows, strict=True))
    assert {"EXECUTION", "AUTOMATION", "STATUS", "CREATED", "TOOK"} <= set(head.split())
    if any(one.error_message for one in found):
        assert "Book: no" in rows[-1]


@pytest.mark.parametrize("found", SCHEDULES)
@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_a_list_of_schedules_fits(
    found: list[tuple[ScheduleEntry, str]], columns: int, terminal: pytest.MonkeyPatch
) -> None:
    terminal.setenv("COLUMNS", str(columns))
    head, *rows = lines(schedules._table(found, NOW))

    assert max(len(line) for line in (head, *rows)) <= columns
    for (one, state), row in zip(found, rows, strict=True):
        assert all(part in row for part in (state, one.cron, one.zone, "11-23 0"))
        assert one.problem is None or "no such" in row


def test_wide_terminals_show_all(terminal: pytest.MonkeyPatch) -> None:
    terminal.setenv("COLUMNS", "200")
    assert ID in list_table(EXECUTIONS[1])
    assert "webhook" in list_table(EXECUTIONS[1])
    assert "2026-11-20 05:30:00 +0100" in schedules._table(SCHEDULES[1], NOW)


def test_a_pipe_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    text = list_table(EXECUTIONS[2])
    assert ID in text
    assert EXECUTIONS[2][0].automation in text
    assert text.endswith(FAILED["error_message"])
    head = "SCHEDULE STATE CRON ZONE NEXT (ITS ZONE) LAST FIRED REMARK"
    assert head.split() == schedules._table(SCHEDULES[0], NOW).splitlines()[0].split()
    assert "2026-11-23 09:00:00 +0100" in schedules._table(SCHEDULES[0], NOW)


def test_a_time_far_away_has_its_year(terminal: pytest.MonkeyPatch) -> None:
    text = schedules._table([(schedule(next_fire=NOW + timedelta(days=400)), "active")], NOW)
    assert "2027-12-28" in text


def test_names_are_cut_in_their_middle(terminal: pytest.MonkeyPatch) -> None:
    text = list_table(EXECUTIONS[2])
    assert "acme/a-v" in text
    assert "seven" in text
    assert "…" in text
