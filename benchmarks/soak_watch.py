"""What the soak looks at: memory of processes, the queue, schedules, and the books at the end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")

_QUEUE = """
SELECT count(*) FILTER (WHERE status = 'QUEUED'), count(*) FILTER (WHERE status = 'RUNNING'),
    coalesce(extract(epoch FROM max((clock_timestamp() AT TIME ZONE 'UTC') - "runAt")
        FILTER (WHERE status = 'QUEUED')), 0)::float8
FROM workflow_executions WHERE status IN ('QUEUED', 'RUNNING')
"""
_RECENT = """
SELECT count(*),
    coalesce(max(extract(epoch FROM "startedAt" - "runAt")), 0)::float8,
    coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY "executionTime"), 0)::float8,
    coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY "executionTime"), 0)::float8
FROM workflow_executions
WHERE "completedAt" > (clock_timestamp() AT TIME ZONE 'UTC') - make_interval(secs => %s)
"""
_SCHEDULES = """
SELECT coalesce(max(extract(epoch FROM "createdAt" - "scheduledFor")), 0)::float8
FROM workflow_executions WHERE "scheduledFor" IS NOT NULL
    AND "createdAt" > (clock_timestamp() AT TIME ZONE 'UTC') - make_interval(secs => %s)
"""
_BOOKS = """
SELECT cause, status::text, count(*) FROM workflow_executions GROUP BY 1, 2 ORDER BY 1, 2
"""
_WRONG_COUNTERS = """
SELECT count(*) FROM automations AS a WHERE a."executionCount" <> (
    SELECT count(*) FROM workflow_executions AS e WHERE e."automationId" = a.id
        AND e.status IN ('SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED'))
"""
_GAPS = """
SELECT count(*) FROM (
    SELECT "scheduledFor" - lag("scheduledFor") OVER (
        PARTITION BY "triggerId" ORDER BY "scheduledFor") AS step
    FROM workflow_executions WHERE "scheduledFor" IS NOT NULL) AS fires
WHERE step <> interval '1 minute'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process at one moment."""

    megabytes: float  # resident
    cpu_seconds: float
    threads: int
    files: int


def look(pid: int) -> Process:
    """Look at a process; raises OSError when it has gone."""
    home = Path("/proc", str(pid))
    pages = int((home / "statm").read_text().split()[1])
    fields = (home / "stat").read_text().rpartition(")")[2].split()
    return Process(
        megabytes=round(pages * _PAGE / 1e6, 2),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICK,
        threads=int(fields[17]),
        files=len(list((home / "fd").iterdir())),
    )


class Books:
    """Reads the database."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def hooks(self) -> list[str]:
        """Tell the addresses of the webhooks."""
        rows = self._rows(
            'SELECT t."webhookUrl" FROM workflow_triggers AS t '
            "WHERE t.\"triggerType\" = 'WEBHOOK' ORDER BY 1"
        )
        return [row[0] for row in rows]

    def organization(self) -> str:
        """Tell the id of the organization."""
        return str(self._rows("SELECT id FROM organization")[0][0])

    def sample(self, seconds: float) -> dict[str, Any]:
        """Look at the queue, and at what ended in the last *seconds*."""
        queued, active, waiting = self._rows(_QUEUE)[0]
        ended, pickup, median, slow = self._rows(_RECENT, seconds)[0]
        return {
            "queued": queued,
            "running": active,
            "queue_lag_s": round(max(waiting, 0.0), 3),
            "ended": ended,
            "pickup_s": round(pickup, 3),
            "run_p50_ms": round(median),
            "run_p99_ms": round(slow),
            "schedule_lag_s": round(self._rows(_SCHEDULES, seconds)[0][0], 3),
        }

    def unfinished(self) -> int:
        """Count what has not ended."""
        queued, active, _ = self._rows(_QUEUE)[0]
        return int(queued + active)

    def close_books(self) -> dict[str, Any]:
        """Count everything, at the end."""
        rows = self._rows(_BOOKS)
        return {
            "executions": {f"{cause} {status}": count for cause, status, count in rows},
            "wrong_counters": self._rows(_WRONG_COUNTERS)[0][0],
            "schedule_gaps": self._rows(_GAPS)[0][0],
        }

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement.encode(), values).fetchall()
