"""Measures this product against bare floors of the same run: `python -m benchmarks [PART ...]`.

All on this machine, with PostgreSQL and n8n of its own in a temporary folder, ended at the
end. Figures are ratios; a figure that misses its aim is said so and fails nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import applying, peer, planning, validate
from benchmarks.figures import Figure, table, write
from benchmarks.rig import Rig, servers

PARTS = ("validate", "apply", "change", "peer", "plan", "scale")


def main() -> None:
    """Run the parts that are asked for, and print one table."""
    options = _arguments()
    parts = set(options.parts or PARTS)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as folder:
        if "validate" in parts:
            print(f"validate: {options.specs} specs", flush=True)
            figures += validate.run(options.specs)
        if parts - {"validate"}:
            with servers(Path(folder)) as rig:
                figures += _with_servers(rig, parts, options)
    print()
    print(table(figures))
    sizes = {"specs": options.specs, "small": options.small, "large": options.large}
    write(options.out, figures, sizes)
    print(f"\nwrote {options.out}")


def _with_servers(rig: Rig, parts: set[str], options: argparse.Namespace) -> list[Figure]:
    figures: list[Figure] = []
    small = {"apply": applying.run_apply, "change": applying.run_change, "peer": peer.run}
    for part, measure in small.items():
        if part in parts:
            print(f"{part}: {options.small} automations", flush=True)
            figures += measure(rig, options.small)
            print(table(figures[-3:]), flush=True)
    if parts & {"plan", "scale"}:
        print(f"plan: {options.large} automations, which takes minutes to set up", flush=True)
        settings, seconds = planning.prepare(rig, options.large)
        found = planning.run(rig, settings, options.large)
        figures += found
        print(table(found), flush=True)
        if "scale" in parts:
            large = (settings, seconds, options.large)
            figures += planning.run_scale(rig, large, options.small, found)
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, help="where the figures go as JSON")
    parser.add_argument("--specs", type=int, default=5000, help="spec files to validate")
    parser.add_argument("--small", type=int, default=100, help="automations to apply and change")
    parser.add_argument("--large", type=int, default=1000, help="automations to plan")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    if options.out is None:
        options.out = Path(tempfile.gettempdir()) / "reconciler-bench.json"
    return options


if __name__ == "__main__":
    main()
