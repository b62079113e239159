"""Lists of webhooks and of events at 80 columns: no row wraps, what one needs is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
import pytest

from reconciler.cli import events, tables, webhook
from reconciler.store.event_records import EventRecord
from reconciler.store.webhooks import Listed

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
URL = "https://automations.initech.example/hooks/tz4a98xxat96iws9zmbrgj3a/orders-of-the-day"
SHORT = "http://a.example/w/1"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(tables, "is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    return monkeypatch


def hook(**fields: Any) -> Listed:
    return Listed(
        **{
            "organization": "acme",
            "automation": "invoice-intake",
            "name": "invoice-intake.orders",
            "trigger": "orders",
            "trigger_id": "t1",
            "automation_id": "a1",
            "auth": {"scheme": "standard-webhooks", "methods": ["POST", "PUT"]},
            "url": URL,
            "active": True,
            "last_called_at": NOW,
            "calls": 4711,
            "rejected": 3,
            **fields,
        }
    )


def event(**fields: Any) -> EventRecord:
    return EventRecord(
        **{
            "organization_id": "o1",
            "organization": "acme",
            "id": "tz4a98xxat96iws9zmbrgj3a",
            "type": "DOCUMENT_UPLOADED",
            "created_at": NOW,
            "dispatched_at": NOW,
            "due_at": NOW,
            "attempts": 1,
            "executions": 2,
            "error": None,
            "sent_by": None,
            **fields,
        }
    )


WEBHOOKS = [[hook()], [hook(), hook(name="x", url=SHORT, active=False)], [hook(name="n" * 90)]]
EVENTS = [
    [event()],
    [event(), event(error="no automation of that name " * 9)],
    [event(id="i" * 40, type="T" * 40, organization="o" * 40, error="no such automation")],
    [event(id="i" * 200, type="T" * 40, organization="o" * 40)],
]


def lines(text: str) -> list[str]:
    return click.unstyle(text).splitlines()


@pytest.mark.parametrize("found", WEBHOOKS)
@pytest.mark.parametrize("columns", [80, 100, 120])
def test_an_address_that_the_table_has_no_room_for_stands_below_its_row(
    found: list[Listed], columns: int, terminal: pytest.MonkeyPatch
) -> None:
    terminal.setenv("COLUMNS", str(columns))
    head, *shown = lines(webhook.list_table(found))
    assert [f"  {one.url}" for one in found] == shown[1::2]
    assert max(len(line) for line in (head, *shown[::2])) <= columns
    for one, row in zip(found, shown[::2], strict=True):
        assert row.startswith("acme/")
        assert ("active" if one.active else "inactive") in row
        assert "4711" in row


def test_an_address_stands_in_the_table_where_all_of_it_has_room(
    terminal: pytest.MonkeyPatch,
) -> None:
    terminal.setenv("COLUMNS", "220")
    head, row = lines(webhook.list_table([hook()]))
    assert (True, True) == (head.endswith("URL"), row.endswith(URL))
    terminal.setenv("COLUMNS", str(len(row) - 1))
    head, _, below = lines(webhook.list_table([hook()]))
    assert (False, f"  {URL}") == (head.endswith("URL"), below)


@pytest.mark.parametrize("found", EVENTS)
@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_a_list_of_events_fits_and_keeps_ids_whole(
    found: list[EventRecord], columns: int, terminal: pytest.MonkeyPatch
) -> None:
    terminal.setenv("COLUMNS", str(columns))
    head, *rows = lines(events.list_table(found))
    assert max(len(line) for line in (head, *rows)) <= columns
    for one, row in zip(found, rows, strict=True):
        assert row.startswith(one.id[:39])
        assert one.state.value in row
        assert one.error is None or one.error[:10] in row


def test_a_pipe_gets_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    for text, names in (
        (webhook.list_table(WEBHOOKS[1]), webhook.HEAD),
        (events.list_table(EVENTS[1]), events.HEAD),
    ):
        head, *rows = text.splitlines()
        assert " ".join(names).split() == head.split()
        assert len(rows) == 2
    first, second = webhook.list_table(WEBHOOKS[1]).splitlines()[1:]
    assert (True, True) == (first.endswith(URL), second.endswith(SHORT))
    assert events.list_table(EVENTS[1]).endswith("no automation of that name")
