"""The store of executions against a model of it: whatever happens, in whatever order.

The model is a few dictionaries; PostgreSQL is real. After each step the counters equal the rows,
no limit is exceeded, and no row that had ended has changed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from reconciler.store import migrate
from reconciler.store.database import Database
from reconciler.store.executions import Cancelled, Executions
from reconciler.trigger.execution import TERMINAL, Cause, Ended, NewExecution, Refusal, Status
from tests import servers
from tests.worker_rig import Desk

WORKERS = ("w1", "w2", "w3")
LIMITS = {"a1": 1, "a2": 3, "a3": None}
ENDS = (Status.SUCCESS, Status.FAILED, Status.TIMEOUT, Status.CANCELLED, Status.QUEUED)


@dataclass(slots=True)
class Modelled:
    """What the model knows of one execution."""

    automation: str
    status: Status = Status.QUEUED
    owner: str | None = None
    attempt: int = 0
    cancelled: bool = False
    expired: bool = False  # its lease


@contextmanager
def clean_database(url: str) -> Iterator[Desk]:
    """A database without executions, on an event loop that is not running."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE automations, workflow_executions CASCADE")
    numbers = itertools.count()
    database = Database(url, pool_size=4)
    yield Desk(database, Executions(database, new_id=lambda: f"e{next(numbers):03}"))


class Machine(RuleBasedStateMachine):
    """Asks, claims, ends, loses, cancels: at random."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = clean_database(self.url)
        self.desk = self.stack.__enter__()
        self.model: dict[str, Modelled] = {}
        self.keys: dict[tuple[str, str], str] = {}
        self.final: dict[str, Any] = {}

    def run(self, awaitable: Any) -> Any:
        return self.runner.run(awaitable)

    def teardown(self) -> None:
        self.run(self.desk.database.close())
        self.stack.__exit__(None, None, None)
        self.runner.close()

    @initialize()
    def automations(self) -> None:
        for name, limit in LIMITS.items():
            settings_ = {} if limit is None else {"max_concurrency": limit}
            self.run(self.desk.automation(name, max_queued=6, **settings_))

    def waiting(self, automation: str) -> int:
        return sum(
            one.automation == automation and one.status is Status.QUEUED
            for one in self.model.values()
        )

    @rule(
        automation=st.sampled_from(sorted(LIMITS)),
        keys=st.lists(st.none() | st.sampled_from("klm"), min_size=1, max_size=4),
    )
    def ask(self, automation: str, keys: list[str | None]) -> None:
        new = [
            NewExecution(
                automation_id=automation, cause=Cause.API, trigger_data={}, idempotency_key=key
            )
            for key in keys
        ]
        for key, answer in zip(keys, self.run(self.desk.executions.insert(new)), strict=True):
            known = None if key is None else self.keys.get((automation, key))
            if known is not None:
                assert (answer.id, answer.fresh) == (known, False)
            elif answer.refusal is Refusal.FULL:
                # Known keys in the same batch take places, too: refused a little early, never late.
                assert self.waiting(automation) + len(keys) > 6
            else:
                assert answer.fresh
                self.model[answer.id] = Modelled(automation=automation)
                if key is not None:
                    self.keys[automation, key] = answer.id
        assert self.waiting(automation) <= 6

    @rule(worker=st.sampled_from(WORKERS), count=st.integers(1, 6))
    def claim(self, worker: str, count: int) -> None:
        claimed = self.run(self.desk.executions.claim(worker, count, lease=600))
        assert len(claimed) <= count
        for one in claimed:
            row = self.model[one.id]
            assert (row.status, one.attempt) == (Status.QUEUED, row.attempt + 1)
            row.status, row.owner, row.attempt = Status.RUNNING, worker, one.attempt
            row.expired = False

    def owned(self, worker: str) -> list[str]:
        return sorted(i for i, one in self.model.items() if one.owner == worker)

    def picked(self, number: int) -> str | None:
        """Choose one of all executions; what is drawn must not depend on the database."""
        ids = sorted(self.model)
        return ids[number % len(ids)] if ids else None

    @rule(
        worker=st.sampled_from(WORKERS),
        ends=st.lists(
            st.tuples(
                st.integers(0, 200), st.sampled_from(ENDS), st.booleans(), st.integers(-1, 1)
            ),
            max_size=6,
        ),
    )
    def complete(self, worker: str, ends: list[tuple[int, Status, bool, int]]) -> None:
        """Complete rows, also some that the worker does not own, with attempts that are over."""
        batch: dict[str, Ended] = {}
        mine = self.owned(worker)
        for number, status, counts, shift in ends:
            id_ = mine[number % len(mine)] if mine and number % 3 else self.picked(number)
            if id_ is not None:
                attempt = max(1, self.model[id_].attempt + (0 if number % 3 else shift))
                batch[id_] = Ended(
                    id=id_, attempt=attempt, status=status, counts=counts, retry_in=0
                )
        self._complete(worker, list(batch.values()))

    def _complete(self, worker: str, batch: list[Ended]) -> None:
        written = self.run(self.desk.executions.complete(worker, batch))
        expected = {
            (one.id, one.attempt)
            for one in batch
            if (self.model[one.id].owner, self.model[one.id].attempt) == (worker, one.attempt)
        }
        assert written == expected
        for one in batch:
            if (one.id, one.attempt) in expected:
                self._ended(self.model[one.id], one)

    def _ended(self, row: Modelled, ended: Ended) -> None:
        row.owner = None
        row.status = ended.status
        if ended.status is Status.QUEUED:
            if row.cancelled:
                row.status = Status.CANCELLED
            elif ended.counts and row.attempt >= 4:
                row.status = Status.FAILED
            elif not ended.counts:
                row.attempt -= 1

    @rule(worker=st.sampled_from(WORKERS))
    def requeue(self, worker: str) -> None:
        ids = self.owned(worker)[:2]
        self.run(self.desk.executions.requeue(worker, ids))
        for id_ in ids:
            row = self.model[id_]
            row.owner, row.attempt = None, row.attempt - 1
            row.status = Status.CANCELLED if row.cancelled else Status.QUEUED

    @rule(worker=st.sampled_from(WORKERS))
    def vanish(self, worker: str) -> None:
        """Let the leases of a worker end."""
        self.run(
            self.desk.rows(
                "UPDATE workflow_executions SET \"leaseExpiresAt\" = now() - interval '1 hour' "
                'WHERE "leaseOwner" = %(worker)s',
                worker=worker,
            )
        )
        for id_ in self.owned(worker):
            self.model[id_].expired = True

    @rule(worker=st.sampled_from(WORKERS))
    def rescue(self, worker: str) -> None:
        expected = {
            id_
            for id_, one in self.model.items()
            if one.expired and one.status is Status.RUNNING and one.owner != worker
        }
        rescued = self.run(self.desk.executions.rescue(worker, 100, lease=600))
        assert {one.id for one in rescued} == expected
        for one in rescued:
            assert one.attempt == self.model[one.id].attempt
            self.model[one.id].owner, self.model[one.id].expired = worker, False

    @rule(worker=st.sampled_from(WORKERS))
    def beat(self, worker: str) -> None:
        beat = self.run(self.desk.executions.beat(worker, 600))
        owned = self.owned(worker)
        assert beat.alive == set(owned)
        assert beat.cancelled == {id_ for id_ in owned if self.model[id_].cancelled}
        for id_ in owned:
            self.model[id_].expired = False

    @rule(number=st.integers(0, 200))
    def cancel(self, number: int) -> None:
        id_ = self.picked(number)
        if id_ is None:
            return
        row = self.model[id_]
        done = self.run(self.desk.executions.cancel("o1", id_))
        if row.status is Status.QUEUED:
            assert done is Cancelled.DONE
            row.status = Status.CANCELLED
        else:
            assert done is (Cancelled.ENDED if row.status in TERMINAL else Cancelled.ASKED)
            row.cancelled |= row.status is Status.RUNNING

    @rule()
    def breakers_time_comes(self) -> None:
        self.run(
            self.desk.rows(
                "UPDATE reconciler.automation_runtime SET breaker_until = clock_timestamp() "
                "WHERE breaker_until IS NOT NULL"
            )
        )

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        rows = self.run(
            self.desk.rows(
                'SELECT id, status::text, "leaseOwner", attempt, to_jsonb(e) '
                "FROM workflow_executions AS e"
            )
        )
        assert {row[0]: (Status(row[1]), row[2], row[3]) for row in rows} == {
            id_: (one.status, one.owner, one.attempt) for id_, one in self.model.items()
        }
        for id_, status, _, _, whole in rows:
            if Status(status) in TERMINAL:
                assert self.final.setdefault(id_, whole) == whole

    @invariant()
    def counters_equal_rows_and_limits_hold(self) -> None:
        rows = self.run(
            self.desk.rows(
                'SELECT a.id, "executionCount", "successCount", "failureCount", running, breaker '
                "FROM automations AS a JOIN reconciler.automation_runtime ON automation_id = a.id"
            )
        )
        for name, total, good, bad, running, breaker in rows:
            mine = [one.status for one in self.model.values() if one.automation == name]
            assert good == mine.count(Status.SUCCESS)
            assert bad == mine.count(Status.FAILED) + mine.count(Status.TIMEOUT)
            assert total == good + bad
            assert running == mine.count(Status.RUNNING)
            assert running <= (LIMITS[name] or 5)
            assert breaker in ("CLOSED", "OPEN", "HALF_OPEN")


@pytest.fixture(scope="module")
def machine_url(postgres_server: Any) -> Iterator[str]:
    with servers.fresh_database(postgres_server.url()) as url:
        asyncio.run(migrate.upgrade(url))
        yield url


def test_no_history_breaks_a_law(machine_url: str) -> None:
    Machine.url = machine_url
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
