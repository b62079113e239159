"""New automations and one change, ours against bare calls of the same workflows."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from pathlib import Path

from benchmarks.figures import Figure, against
from benchmarks.floor import Body, Floor, bodies, entry, fresh, side_by_side
from benchmarks.generate import workflow, write_specs
from benchmarks.rig import Rig, apply
from reconciler.settings import Settings

CHANGES = 5


def run_apply(rig: Rig, count: int, rounds: int) -> list[Figure]:
    """Make *count* automations, alternately with bare POST and publish."""
    specs = write_specs(rig.folder / "apply", count)
    settings = rig.anew(specs)
    apply(settings)  # n8n compiles its code paths; and now we know what we send
    sent = _sent(rig)
    accepted, served, bare_accepted, bare_served, cpu = [], [], [], [], []
    for _ in range(rounds):
        asyncio.run(rig.empty())
        bare = asyncio.run(_bare(rig, sent))
        bare_accepted.append(bare[0])
        bare_served.append(bare[1])
        done = apply(rig.anew(specs))
        accepted.append(done.accepted)
        served.append(done.spent.wall)
        cpu.append(done.spent.cpu)
    what = f"{count} new automations"
    return [
        _rate("apply", f"{what}, until n8n accepted all", accepted, bare_accepted, 0.7),
        _rate("apply", f"{what}, until all are served", served, bare_served, 0.7),
        Figure(part="apply", what=f"{what}, CPU of ours", ours=statistics.median(cpu)),
    ]


def _rate(part: str, what: str, ours: list[float], bare: list[float], aim: float) -> Figure:
    a, b = statistics.median(ours), statistics.median(bare)
    return Figure(
        part=part,
        what=what,
        ours=a,
        baseline=b,
        ratio=b / a,
        at_least=aim,
        note="ratio of the rates; baseline: POST and publish of the same workflows, 8 at a time,"
        " without planning, records or rows",
    )


def _sent(rig: Rig) -> list[Body]:
    async def read() -> list[Body]:
        async with rig.floor() as floor:
            return bodies(await floor.listing())

    return asyncio.run(read())


async def _bare(rig: Rig, sent: list[Body]) -> tuple[float, float]:
    new = [fresh(body) for body in sent]
    async with rig.floor() as floor:
        start = time.perf_counter()
        await side_by_side(new, floor.create_and_publish)
        accepted = time.perf_counter() - start
        await side_by_side([p for body in new if (p := entry(body))], floor.until_served)
        return accepted, time.perf_counter() - start


def run_change(rig: Rig, count: int) -> list[Figure]:
    """Change one of *count* automations, alternately with a bare listing and PUT."""
    specs = write_specs(rig.folder / "change", count)
    settings = rig.anew(specs)
    apply(settings)
    ours, answering, bare, cpu = [], [], [], []
    for number in range(CHANGES):
        _edit(specs, number, f" edit {number}")
        done = apply(settings)
        assert len(done.report.outcomes) == 1, done.report.outcomes
        ours.append(done.accepted)
        answering.append(done.spent.wall)
        cpu.append(done.spent.cpu)
        bare.append(asyncio.run(_bare_change(rig, f"Flow {count - 1:05d}", number)))
        apply(settings)  # repairs what the bare call changed
    accepted, served = (statistics.median(part[at] for part in bare) for at in (0, 1))
    what = f"one change of {count}"
    return [
        against(
            "change",
            f"{what}, until n8n accepted it",
            statistics.median(ours),
            accepted,
            note="baseline: one page of GET /workflows, then one PUT of a published workflow;"
            " ours reads and checks all specs, takes the lock, and reads the workflow again",
        ),
        against(
            "change", f"{what}, until applied and answering", statistics.median(answering), served
        ),
        Figure(part="change", what=f"{what}, CPU of ours", ours=statistics.median(cpu)),
    ]


def _edit(specs: Path, number: int, note: str) -> None:
    path = specs / "organizations" / "bench" / "workflows" / f"flow-{number:05d}.json"
    path.write_text(json.dumps(workflow(number, note=note), indent=2), encoding="utf-8")


async def _bare_change(rig: Rig, name: str, number: int) -> tuple[float, float]:
    async with rig.floor() as floor:
        start = time.perf_counter()
        found = next(w for w in await floor.listing() if w["name"] == name)
        body = next(iter(bodies([found])))
        body.pop("staticData")
        prepare = next(node for node in body["nodes"] if node["name"] == "Prepare")
        prepare["parameters"]["assignments"]["assignments"][0]["value"] = f"bare {number}"
        await floor.update(str(found["id"]), body)
        accepted = time.perf_counter() - start
        await _answers(floor, body)
        return accepted, time.perf_counter() - start


async def _answers(floor: Floor, body: Body) -> None:
    path = entry(body)
    assert path is not None
    await floor.until_served(path)


def edit(settings: Settings, number: int, note: str) -> None:
    """Change one workflow file of the specs."""
    _edit(settings.specs, number, note)
