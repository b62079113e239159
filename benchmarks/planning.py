"""The plan without changes, and how costs grow with the number of automations."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Spent, against, exponent, timed
from benchmarks.floor import select_rows
from benchmarks.generate import write_specs
from benchmarks.rig import Rig, apply
from reconciler.app.specs import MEMO
from reconciler.settings import Settings

ROUNDS = 5
MEMORY = 300  # MiB


def prepare(rig: Rig, count: int) -> tuple[Settings, float]:
    """Apply *count* automations to an empty n8n; give the seconds it took."""
    settings = rig.anew(write_specs(rig.folder / f"plan-{count}", count))
    return settings, apply(settings).spent.wall


def run(rig: Rig, settings: Settings, count: int) -> list[Figure]:
    """Plan when there is nothing to do, against the bare reads."""
    ours, bare, inner = measure(rig, settings, count)
    anew, _, _ = measure(rig, settings, count, remember=False)
    what = f"no-op, {count} automations"
    first = against(
        "plan",
        f"{what}, wall",
        ours.wall,
        bare.wall,
        at_most=1.5,
        note="ours: read the specs, which did not change since the last plan, observe, compare; in"
        " a new process, after its imports; baseline: GET /workflows page by page, decoded, and"
        " one SELECT",
    )
    return [
        first,
        against("plan", f"{what}, wall, nothing remembered", anew.wall, bare.wall),
        against("plan", f"{what}, CPU of the process", ours.cpu, bare.cpu),
        against("plan", f"{what}, reading and checking the specs apart", inner["specs"], bare.wall),
        Figure(
            part="plan",
            what=f"{what}, peak memory",
            ours=inner["memory"],
            unit="MiB",
            at_most=MEMORY,
        ),
    ]


def measure(
    rig: Rig, settings: Settings, count: int, *, remember: bool = True
) -> tuple[Spent, Spent, dict[str, Any]]:
    """Alternate our plan in processes of its own with the bare reads; give the medians."""
    ours, bare, inner = [], [], []
    _floor(rig, settings, count)
    _in_process_of_its_own(rig, settings)
    for _ in range(ROUNDS):
        if not remember:
            (settings.state / MEMO).unlink()
        bare.append(_floor(rig, settings, count))
        found = _in_process_of_its_own(rig, settings)
        inner.append(found)
        ours.append(Spent(found["wall"], found["cpu"]))
    middle = {name: statistics.median(found[name] for found in inner) for name in inner[0]}
    return Spent.middle(ours), Spent.middle(bare), middle


def _floor(rig: Rig, settings: Settings, count: int) -> Spent:
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()

    async def read() -> None:
        async with rig.floor() as floor:
            assert len(await floor.listing()) == count

    def both() -> None:
        asyncio.run(read())
        select_rows(url, count)

    return timed(both)


def _in_process_of_its_own(rig: Rig, settings: Settings) -> dict[str, Any]:
    environment = {**os.environ, **rig.environment(settings), "PYTHONPATH": str(Path.cwd())}
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.noop"],
        env=environment,
        cwd=settings.state.parent,
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def run_scale(rig: Rig, large: tuple[float, int], small: int, floor: list[Figure]) -> list[Figure]:
    """Compare the costs at two sizes; the large one is still in n8n, the small one comes last."""
    seconds, count = large
    growth = count / small
    plan_large = next(f.ours for f in floor if f.what.endswith("wall"))
    prepared, seconds_small = prepare(rig, small)
    ours, _, _ = measure(rig, prepared, small)
    assert plan_large is not None
    found = []
    for what, low, high in (
        ("apply until served", seconds_small, seconds),
        ("no-op plan", ours.wall, plan_large),
    ):
        power = exponent(low, high, growth)
        found.append(
            Figure(
                part="scale",
                what=f"{what}, {small} to {count}",
                ours=high,
                baseline=low,
                ratio=power,
                at_most=1.05,
                note="ours: the large size, baseline: the small size, ratio: the exponent of"
                " the growth, 1 is linear (0.05 for noise)",
            )
        )
    return found
