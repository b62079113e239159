"""Conditions that a partial index and the statements that use it must spell alike. Pure text.

PostgreSQL uses such an index only for a query that repeats its condition. The migrations keep
copies of their own; a test compares the two.
"""

from __future__ import annotations

from typing import Final

# What the scheduler notes in a schedule's row once it has taken it in; NULL: nothing to take in.
# The two texts are kept as they are: a hash would only hide what changed.
TAKEN_IN: Final = (
    "CASE WHEN \"isActive\" THEN COALESCE(timezone, 'UTC') || chr(10) || "
    "COALESCE(\"cronSchedule\", '') END"
)
# IS TRUE keeps the planner from reading all schedules through the index of types.
IS_SCHEDULE: Final = "(\"triggerType\" = 'SCHEDULE') IS TRUE"
# Schedules that are not (any more) as the scheduler took them in.
UNSCHEDULED: Final = f'{IS_SCHEDULE} AND "scheduleDigest" IS DISTINCT FROM {TAKEN_IN}'
# Runs of a schedule that have not ended.
LIVE_SCHEDULED: Final = "status IN ('QUEUED', 'RUNNING') AND \"scheduledFor\" IS NOT NULL"
