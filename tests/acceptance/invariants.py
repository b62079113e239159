"""What has to hold after any fault: nothing lost, nothing ended twice, limits kept, counters right.

A `Recorder` watches inside the database, by triggers: it sees each change of each row, whoever
makes it. Not here: making trouble.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

_RECORDER = """
CREATE SCHEMA recorder;
CREATE TABLE recorder.seen (
    place bigint GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT clock_timestamp(),
    id text, automation text, was text, became text, attempt int, worker text
);
CREATE TABLE recorder.violations (
    at timestamptz DEFAULT clock_timestamp(), what text, id text, detail text
);
CREATE FUNCTION recorder.watch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    running int;
    allowed int;
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO recorder.violations (what, id) VALUES ('a row was deleted', OLD.id);
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.status NOT IN ('QUEUED', 'RUNNING') THEN
        IF OLD IS DISTINCT FROM NEW THEN
            INSERT INTO recorder.violations (what, id, detail)
            VALUES ('a terminal row changed', OLD.id, OLD.status || ' -> ' || NEW.status);
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' OR OLD.status <> NEW.status OR OLD.attempt <> NEW.attempt THEN
        INSERT INTO recorder.seen (id, automation, was, became, attempt, worker)
        VALUES (NEW.id, NEW."automationId",
            CASE WHEN TG_OP = 'UPDATE' THEN OLD.status::text END, NEW.status::text, NEW.attempt,
            COALESCE(NEW."leaseOwner", CASE WHEN TG_OP = 'UPDATE' THEN OLD."leaseOwner" END));
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.status = 'RUNNING' AND OLD.status = 'QUEUED' THEN
        SELECT count(*) INTO running FROM workflow_executions
        WHERE "automationId" = NEW."automationId" AND status = 'RUNNING';
        SELECT COALESCE(max_concurrency, 5) INTO allowed FROM reconciler.automation_runtime
        WHERE automation_id = NEW."automationId";
        IF running > allowed THEN
            INSERT INTO recorder.violations (what, id, detail)
            VALUES ('a limit was exceeded', NEW.id, running || ' of ' || allowed);
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER recorder AFTER INSERT OR UPDATE OR DELETE ON workflow_executions
FOR EACH ROW EXECUTE FUNCTION recorder.watch();
"""
_OPEN = "SELECT count(*) FROM workflow_executions WHERE status IN ('QUEUED', 'RUNNING')"


def record(url: str) -> None:
    """Start to watch the executions of the database at *url*."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_RECORDER.encode())


def open_rows(url: str) -> int:
    """Count what waits or runs."""
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        row = connection.execute(_OPEN.encode()).fetchone()
        assert row is not None
        return int(row[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What became of all that was asked for."""

    accepted: int
    lost: int  # accepted and not there, or not ended
    doubled: int  # ended more than once, or two rows for one call
    states: dict[str, int]
    attempts: int  # all together
    rescued: int  # attempts that another worker took over
    errors: dict[str, int]  # of attempts, and how many had each
    violations: list[str]
    miscounted: list[str]

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        errors = "".join(f"; {count}x {error}" for error, count in self.errors.items())
        return (
            f"accepted {self.accepted}, lost {self.lost}, doubled {self.doubled}, {states}, "
            f"{self.attempts} attempts, {self.rescued} taken over{errors}"
        )

    def hold(self) -> None:
        """Insist on the invariants."""
        assert self.violations == []
        assert self.miscounted == []
        assert (self.lost, self.doubled) == (0, 0), str(self)
        assert sum(self.states.values()) == self.accepted, str(self)


def figures(url: str, accepted: Collection[str]) -> Figures:
    """Compare what was promised with what is there."""
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:

        def rows(query: str) -> list[dict[str, Any]]:
            return connection.execute(query.encode()).fetchall()

        found = {
            row["id"]: row["status"]
            for row in rows("SELECT id, status::text FROM workflow_executions")
        }
        ends = rows(
            "SELECT id FROM recorder.seen WHERE became NOT IN ('QUEUED', 'RUNNING') "
            "GROUP BY id HAVING count(*) > 1"
        )
        keys = rows(
            'SELECT "idempotencyKey" FROM workflow_executions WHERE "idempotencyKey" IS NOT NULL '
            'GROUP BY "automationId", "idempotencyKey" HAVING count(*) > 1'
        )
        [attempts] = rows(
            "SELECT count(*) AS every, count(adopted_at) AS adopted FROM reconciler.execution_attempts"
        )
        errors = rows(
            "SELECT COALESCE(left(error, 60), outcome) AS error, count(*) AS times "
            "FROM reconciler.execution_attempts WHERE outcome <> 'SUCCESS' GROUP BY 1 ORDER BY 2 DESC"
        )
        violations = rows("SELECT what, id, detail FROM recorder.violations ORDER BY at LIMIT 20")
        miscounted = _miscounted(rows)
    states: dict[str, int] = {}
    for status in found.values():
        states[status] = states.get(status, 0) + 1
    still = {"QUEUED", "RUNNING"}
    lost = [id_ for id_ in accepted if found.get(id_, "QUEUED") in still]
    return Figures(
        accepted=len(set(accepted)),
        lost=len(lost),
        doubled=len(ends) + len(keys) + len(accepted) - len(set(accepted)),
        states=states,
        attempts=attempts["every"],
        rescued=attempts["adopted"],
        errors={row["error"]: row["times"] for row in errors},
        violations=[f"{row['what']}: {row['id']} {row['detail']}" for row in violations],
        miscounted=miscounted,
    )


def _miscounted(rows: Any) -> list[str]:
    """Find automations whose counters differ from their rows."""
    counted = rows(
        """
        SELECT a.id, a."executionCount" AS every, a."successCount" AS good,
            a."failureCount" AS bad, r.running,
            count(*) FILTER (WHERE e.status = 'SUCCESS') AS rows_good,
            count(*) FILTER (WHERE e.status IN ('FAILED', 'TIMEOUT')) AS rows_bad,
            count(*) FILTER (WHERE e.status = 'RUNNING') AS rows_running
        FROM automations AS a
        JOIN reconciler.automation_runtime AS r ON r.automation_id = a.id
        LEFT JOIN workflow_executions AS e ON e."automationId" = a.id
        GROUP BY a.id, r.automation_id
        """
    )
    return [
        str(row)
        for row in counted
        if (row["every"], row["good"], row["bad"], row["running"])
        != (
            row["rows_good"] + row["rows_bad"],
            row["rows_good"],
            row["rows_bad"],
            row["rows_running"],
        )
    ]
