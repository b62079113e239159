"""Five daemons at once, one of them killed, and daemons whose clock is an hour wrong."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.conftest import Stage
from tests.daemon_rig import Daemon, listening, until

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

Remark = Callable[[str, object], None]
DUE = 10_000
AUTOMATIONS = 100
NOW = "date_trunc('milliseconds', clock_timestamp() AT TIME ZONE 'UTC')"

_MAKE = f"""
INSERT INTO organization (id, name, "updatedAt") VALUES ('o', 'Acme', now());
INSERT INTO users (id, email, "updatedAt") VALUES ('u', 'ops@acme.example', now());
INSERT INTO automations (id, name, "triggerType", "triggerConfig", "orgId", "createdById",
    "updatedAt")
SELECT 'a' || n, 'a' || n, 'SCHEDULE', '{{}}', 'o', 'u', now()
FROM generate_series(0, {AUTOMATIONS - 1}) AS n;
INSERT INTO workflow_triggers (id, "automationId", "orgId", "triggerType", "triggerEvent",
    "cronSchedule", timezone, "updatedAt")
SELECT 't' || n, 'a' || n % {AUTOMATIONS}, 'o', 'SCHEDULE', 'schedule',
    n % 60 || ' ' || n % 24 || ' * * *', 'Europe/Berlin', now()
FROM generate_series(1, {DUE}) AS n;
"""
# All that looks at a clock in a daemon: ours, the log's, and libraries that ask `time`.
WRONG = """
import datetime, time, types
import reconciler.clock, structlog.processors

SECONDS = {seconds}
real = time.time


class Wrong(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(seconds=SECONDS)


time.time = lambda: real() + SECONDS
reconciler.clock.datetime = Wrong
structlog.processors.datetime = types.SimpleNamespace(
    datetime=Wrong, timezone=datetime.timezone, date=datetime.date
)
"""


@contextmanager
def daemon(
    folder: Path, url: str, roles: str, *, clock: int = 0, **environ: str
) -> Iterator[Daemon]:
    """Start a daemon whose clock is *clock* seconds ahead."""
    folder.mkdir()
    if clock:
        text = textwrap.dedent(WRONG.format(seconds=clock))
        (folder / "sitecustomize.py").write_text(text)
        environ["PYTHONPATH"] = str(folder)
    words = ("--roles", roles, "--log-format", "json")
    with listening(folder, {"DATABASE_URL": url, **environ}, *words) as running:
        yield running


class Table:
    """Asks the database."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self._connection = connection

    def do(self, statement: str, *values: object) -> None:
        self._connection.execute(statement.encode(), values or None)

    def value(self, query: str) -> int:
        [row] = self._connection.execute(query.encode()).fetchall()
        assert isinstance(row[0], int)
        return row[0]

    @property
    def started(self) -> int:
        return self.value("SELECT count(*) FROM workflow_executions")

    @property
    def waiting(self) -> int:
        return self.value(
            f'SELECT count(*) FROM workflow_triggers WHERE "nextFireAt" <= {NOW} '
            'OR "nextFireAt" IS NULL'
        )


@pytest.fixture
def table(database_url: str) -> Iterator[Table]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Table(connection)


def test_five_daemons_of_which_one_is_killed_start_each_of_10_000_once(
    database_url: str, table: Table, tmp_path: Path, record_property: Remark
) -> None:
    table.do(_MAKE)
    with ExitStack() as stack:
        five = [
            stack.enter_context(daemon(tmp_path / f"d{n}", database_url, "scheduler"))
            for n in range(5)
        ]
        until(lambda: table.waiting == 0, "taking all schedules in")
        begun = time.monotonic()
        table.do(f'UPDATE workflow_triggers SET "nextFireAt" = {NOW}')
        until(lambda: table.started > DUE // 10, "a start")
        five[0].process.kill()
        in_the_middle = table.started
        until(lambda: table.waiting == 0, "starting all")
        seconds = time.monotonic() - begun
        time.sleep(2)  # nothing comes after
        for one in five[1:]:
            one.signal()
        assert [one.end() for one in five[1:]] == [0] * 4

    assert in_the_middle < DUE
    assert table.started == DUE
    assert DUE == table.value('SELECT count(DISTINCT "triggerId") FROM workflow_executions')
    assert DUE == table.value('SELECT count(DISTINCT "idempotencyKey") FROM workflow_executions')
    counted = 'SELECT count(*) FROM workflow_triggers WHERE "triggerCount" = 1'
    assert DUE == table.value(counted)
    record_property(
        "five daemons", f"{DUE} due, one killed after {in_the_middle}: {DUE} started, 0 twice, "
        f"0 missing, {seconds:.1f} s",
    )  # fmt: skip


@pytest.mark.parametrize("clock", [3600, -3600])
def test_a_daemon_whose_clock_is_an_hour_wrong_goes_by_that_of_the_database(
    clock: int, database_url: str, table: Table, on_fake: Stage, tmp_path: Path
) -> None:
    nine = {"name": "nine", "type": "SCHEDULE", "cron": "0 9 * * *", "timezone": "UTC"}
    on_fake.repository.organization().automation("report", triggers=[nine])
    on_fake.shell.apply()
    env = {name: on_fake.shell.env[name] for name in ("N8N_URL", "N8N_API_KEY", "ENCRYPTION_KEY")}

    with daemon(tmp_path / "wrong", database_url, "scheduler,worker", clock=clock, **env) as wrong:
        said = datetime.fromisoformat(wrong.lines()[0]["at"])
        assert abs((said - datetime.now(UTC)).total_seconds() - clock) < 120
        until(lambda: table.waiting == 0, "taking the schedule in")
        today = f"\"nextFireAt\" - {NOW} BETWEEN interval '0' AND interval '1 day'"
        assert 1 == table.value(f"SELECT count(*) FROM workflow_triggers WHERE {today}")

        # Due in half an hour, a lease that ends in a minute, a start in half an hour: none is now.
        table.do(f"UPDATE workflow_triggers SET \"nextFireAt\" = {NOW} + interval '30 minutes'")
        for id_, status, lease, start in (
            ("leased", "RUNNING", "1 minute", "0"),
            ("later", "QUEUED", None, "30 minutes"),
        ):
            table.do(
                'INSERT INTO workflow_executions (id, "automationId", "orgId", status, '
                '"triggerData", attempt, "leaseOwner", "leaseExpiresAt", "runAt", "updatedAt") '
                f"SELECT %s, id, \"orgId\", %s::\"ExecutionStatus\", '{{}}', 1, 'another', "
                f"{NOW} + %s::interval, {NOW} + %s::interval, now() FROM automations",
                id_, status, lease, start,
            )  # fmt: skip
        time.sleep(8)  # longer than it takes to look for leases that ended
        assert table.started == 2
        untouched = (
            "SELECT count(*) FROM workflow_executions "
            "WHERE (id, status::text) IN (('leased', 'RUNNING'), ('later', 'QUEUED'))"
        )
        assert 2 == table.value(untouched)

        # Due now is now.
        table.do(f'UPDATE workflow_triggers SET "nextFireAt" = {NOW}')
        ended = "SELECT count(*) FROM workflow_executions WHERE status = 'SUCCESS' AND attempt = 1"
        until(lambda: table.value(ended) == 1, "the run")
        near = f'abs(extract(epoch FROM {NOW} - "completedAt")) < 60 AND "executionTime" < 60000'
        assert 1 == table.value(f"SELECT count(*) FROM workflow_executions WHERE {near}")
        wrong.signal()
        assert wrong.end() == 0
