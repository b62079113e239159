"""Measures this product against bare floors of the same run: `python -m benchmarks [PART ...]`.

All on this machine, with PostgreSQL and n8n of its own in a temporary folder, ended at the
end. Figures are ratios; a figure that misses its aim is said so and fails nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    applying,
    executions,
    peer,
    planning,
    running,
    schedules,
    validate,
    webhooks,
)
from benchmarks.figures import Figure, table, write
from benchmarks.rig import Rig, servers

PARTS = (
    *("validate", "executions", "run", "webhooks", "schedules"),
    *("apply", "change", "peer", "plan", "scale"),
)


def main() -> None:
    """Run the parts that are asked for, and print one table."""
    options = _arguments()
    parts = set(options.parts or PARTS)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as folder:
        if "validate" in parts:
            print(f"validate: {options.specs} specs", flush=True)
            figures += validate.run(options.specs)
            print(table(figures), flush=True)
        if "executions" in parts:
            print("executions: minutes", flush=True)
            figures += executions.run()
            print(table(figures), flush=True)
        if parts - {"validate", "executions"}:
            with servers(Path(folder)) as rig:
                _with_servers(rig, parts, options, figures)
    print()
    print(table(figures))
    _keep(options, figures)
    print(f"\nwrote {options.out}")


def _keep(options: argparse.Namespace, figures: list[Figure]) -> None:
    sizes = {name: getattr(options, name) for name in ("specs", "runs", "small", "large", "rounds")}
    write(options.out, figures, sizes)


def _with_servers(
    rig: Rig, parts: set[str], options: argparse.Namespace, figures: list[Figure]
) -> None:
    runtime: dict[str, Callable[[], list[Figure]]] = {
        "run": lambda: running.run(rig, options.runs, options.rounds),
        "webhooks": lambda: webhooks.run(rig.server_url),
        "schedules": lambda: schedules.run(rig.server_url),
    }
    for part, measure in runtime.items():
        if part in parts:
            print(f"{part}: minutes", flush=True)
            found = measure()
            figures += found
            print(table(found), flush=True)
            _keep(options, figures)
    small: dict[str, Callable[[], list[Figure]]] = {
        "apply": lambda: applying.run_apply(rig, options.small, options.rounds),
        "change": lambda: applying.run_change(rig, options.small),
        "peer": lambda: peer.run(rig, options.small),
    }
    for part, measure in small.items():
        if part in parts:
            print(f"{part}: {options.small} automations", flush=True)
            figures += measure()
            print(table(figures[-3:]), flush=True)
            _keep(options, figures)
    if parts & {"plan", "scale"}:
        print(f"plan: {options.large} automations, which takes minutes to set up", flush=True)
        settings, seconds = planning.prepare(rig, options.large)
        found = planning.run(rig, settings, options.large)
        figures += found
        print(table(found), flush=True)
        _keep(options, figures)
        if "scale" in parts:
            large = (seconds, options.large)
            figures += planning.run_scale(rig, large, options.small, found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    parser.add_argument("--specs", type=int, default=5000, help="spec files to validate")
    parser.add_argument("--small", type=int, default=100, help="automations to apply and change")
    parser.add_argument("--runs", type=int, default=200, help="executions through n8n in a round")
    parser.add_argument("--large", type=int, default=1000, help="automations to plan")
    parser.add_argument("--rounds", type=int, default=3, help="how often new ones are applied")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    if options.out is None:
        options.out = Path(tempfile.gettempdir()) / "reconciler-bench.json"
    return options


if __name__ == "__main__":
    main()
