"""One plan in a process of its own, so that its peak memory is its own; settings come by environment."""

from __future__ import annotations

import gc
import json
import sys

import httpcore  # noqa: F401 - httpx imports it with the first client; imports are not measured

from benchmarks.figures import peak_memory, timed
from benchmarks.rig import plan
from reconciler import app
from reconciler.settings import load_settings


def main() -> None:
    """Print one line of JSON: seconds, CPU seconds, MiB."""
    gc.set_threshold(200_000, 20, 20)  # as reconciler.cli.main does
    settings = load_settings({})
    spent = plan(settings)
    memory = peak_memory()
    specs = timed(lambda: app.check(app.load_specs(settings.specs), settings))
    found = {"wall": spent.wall, "cpu": spent.cpu, "memory": memory, "specs": specs.wall}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
