"""Writes docs/reference/metrics.md from the registry: `python -m tools.make_metrics_page`."""

from __future__ import annotations

from pathlib import Path

from reconciler.metrics import REGISTRY

PAGE = Path(__file__).resolve().parents[1] / "docs/reference/metrics.md"
HEAD = """\
# Metrics

What `/metrics` of a daemon says, in Prometheus' terms. No label grows with the number of automations or executions, and none
shows a name of yours. The figures about the queue and the breakers come from the database, at most every 5 s and only when somebody
asks; every daemon gives the same ones, so take their maximum, not their sum. All others are of the one daemon that is asked.

This page is made from the code: `python -m tools.make_metrics_page`.

| name | kind | labels | means |
|---|---|---|---|
"""
FOOT = """
The names that begin with `process_` are the usual ones of Prometheus' client: CPU, memory, open files, start time.

Worth an alert:

| what | why |
|---|---|
| `reconciler_queue_lag_seconds > 60` for 5 minutes | more is asked for than the workers run, or all of it is held |
| `reconciler_n8n_reachable == 0` for 2 minutes | nothing is started; what was asked for waits |
| `reconciler_breakers{state="OPEN"} > 0` for 30 minutes | an automation fails again and again |
| `increase(reconciler_service_restarts_total[10m]) > 3` | a service fails again and again; its reason is in the log |
| `reconciler_drifted_resources > 0` for 10 minutes | somebody changes things outside git, and healing is switched off or fails |
"""
SUFFIX = {"counter": "_total"}


def page() -> str:
    """Write the page."""
    rows = []
    for family in REGISTRY.collect():
        if family.name.startswith("reconciler_"):
            name = family.name + SUFFIX.get(family.type, "")
            metric = REGISTRY._names_to_collectors[family.name]  # noqa: SLF001 - nothing public tells
            labels = ", ".join(f"`{label}`" for label in getattr(metric, "_labelnames", ()))
            rows.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |\n")
    return HEAD + "".join(rows) + FOOT


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
