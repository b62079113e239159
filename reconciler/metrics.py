"""What the daemon counts and measures, in Prometheus' terms, in a registry of its own.

Names and meanings are the reference (`docs/reference/metrics.md`, made from this file). No label
grows with the number of automations or executions. Not here: the HTTP answer (`reconciler.web`).
"""

from __future__ import annotations

import platform
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from reconciler import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series for each series, unused
REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

_SHORT: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_LONG: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"reconciler_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"reconciler_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"reconciler_{name}", text, labels, buckets=buckets, registry=REGISTRY)


BUILD: Final = _gauge("build_info", "Always 1; the labels say what runs", "version", "python")
BUILD.labels(__version__, platform.python_version()).set(1)

# Executions: from being asked for to their end.
ENDED: Final = _counter("executions_ended", "Executions that ended for good here", "status")
RETRIED: Final = _counter("executions_retried", "Attempts that failed and are tried again")
RESCUED: Final = _counter(
    "executions_rescued", "Executions taken over from a worker that is gone", "outcome"
)
LEASES_LOST: Final = _counter("leases_lost", "Executions that another worker took from this one")
RUNNING: Final = _gauge("executions_running", "Executions that this worker runs now")
CLAIM: Final = _histogram("claim_seconds", "Duration of one claim in PostgreSQL", _SHORT)
COMPLETE: Final = _histogram("complete_seconds", "Duration of one batch of completions", _SHORT)
RUN: Final = _histogram("run_seconds", "From claim to end of one attempt", _LONG, "status")

# The state of the database, as any daemon sees it.
QUEUED: Final = _gauge("queue_depth", "Executions that wait, those not due yet included", "cause")
QUEUE_LAG: Final = _gauge("queue_lag_seconds", "How long the execution that is due longest waits")
BREAKERS: Final = _gauge("breakers", "Automations by the state of their breaker", "state")

# Schedules.
FIRED: Final = _counter(
    "schedule_fires", "Occurrences of schedules, by what became of them", "outcome"
)
SCHEDULE_LAG: Final = _histogram(
    "schedule_lag_seconds", "From the nominal time to the row", (*_SHORT, 10, 60, 600)
)

# HTTP in.
WEBHOOKS: Final = _counter(
    "webhooks",
    "Webhook calls; the reason of an accepted one is `new` or `known`",
    "outcome",
    "reason",
)
WEBHOOK: Final = _histogram("webhook_seconds", "From the last byte of a call to its answer", _SHORT)
EVENTS: Final = _counter("events", "Events, by what became of them", "outcome")
API_RUNS: Final = _counter("api_runs", "Runs that programs asked for through the API")

# n8n.
N8N_REACHABLE: Final = _gauge("n8n_reachable", "1: n8n answers; 0: claiming has stopped")
NATIVE: Final = _counter(
    "native_runs_collected", "Runs that n8n started by itself, recorded", "status"
)

# Reconciliation.
TURNS: Final = _counter("reconcile_turns", "Looks at specs, PostgreSQL and n8n", "kind", "outcome")
TURN: Final = _histogram("reconcile_seconds", "Duration of one turn", _LONG, "kind")
DRIFTED: Final = _gauge("drifted_resources", "Resources changed outside git, at the last look")
CHANGES: Final = _counter("reconcile_changes", "Changes made by turns", "outcome")

# The daemon itself.
SERVICE_UP: Final = _gauge(
    "service_up", "1: the service works; 0: it waits to start again", "service"
)
RESTARTS: Final = _counter("service_restarts", "Services started again after an error", "service")
PRUNED: Final = _counter("rows_pruned", "Rows that retention removed", "table")


def render() -> tuple[bytes, str]:
    """Give the text that Prometheus reads, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
