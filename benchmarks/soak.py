"""An hour of steady load: memory stays flat, nothing falls behind, the books are right.

`python -m benchmarks.soak --minutes 60 --out soak.jsonl`: webhooks, events and schedules at a
steady rate through the real n8n, all on the loopback, with servers of its own that end with it.
A sample each 10 s goes to the file, the verdict to `<out>.verdict.json` and to the exit code.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg

from benchmarks.soak_rig import EVENT, LISTENERS, Place, running
from benchmarks.soak_watch import Books, look

EVERY = 10.0  # seconds between two samples
# Of the median: how much memory may grow from the warm-up to the end. Ids that need no second
# look are remembered, tens of thousands of them, and a slow soak fills that up for an hour.
MEMORY = 0.10
PATIENCE = 120.0  # seconds for what is left to end


@dataclasses.dataclass(slots=True)
class Load:
    """What was sent, and how it was answered."""

    answers: Counter[str] = dataclasses.field(default_factory=Counter)
    latencies: list[float] = dataclasses.field(default_factory=list)
    events: int = 0
    enough: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def beats(self, rate: float) -> AsyncIterator[int]:
        """Count, *rate* times a second, until it is enough."""
        began = time.monotonic()
        for number in itertools.count():
            pause = began + number / rate - time.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.enough.wait(), max(pause, 0.0001))
            if self.enough.is_set():
                return
            yield number

    def drain(self) -> dict[str, float]:
        """Give the latencies since the last time, in ms."""
        taken, self.latencies = sorted(self.latencies), []
        if not taken:
            return {}
        return {
            "accept_p50_ms": round(1000 * statistics.median(taken), 1),
            "accept_p99_ms": round(1000 * taken[int(len(taken) * 0.99)], 1),
        }


async def call_webhooks(hooks: Sequence[str], rate: float, load: Load) -> None:
    """Call one webhook after the other, *rate* a second, whatever the answers do."""
    async with httpx.AsyncClient(timeout=30) as client, asyncio.TaskGroup() as group:
        async for number in load.beats(rate):
            body = {"number": number, "text": "x" * (200 + number % 800)}
            group.create_task(_call(client, hooks[number % len(hooks)], body, load))


async def _call(client: httpx.AsyncClient, url: str, body: Any, load: Load) -> None:
    began = time.perf_counter()
    try:
        answer = await client.post(url, json=body)
        load.answers[str(answer.status_code)] += 1
    except httpx.HTTPError as error:
        load.answers[type(error).__name__] += 1
    load.latencies.append(time.perf_counter() - began)


async def send_events(place: Place, organization: str, rate: float, load: Load) -> None:
    """Put events into the outbox, *rate* a second, as a producer in SQL does."""
    connection = await psycopg.AsyncConnection.connect(place.database_url, autocommit=True)
    async with connection:
        async for number in load.beats(rate):
            await connection.execute(
                "INSERT INTO reconciler.events (organization_id, type, data) VALUES (%s, %s, %s)",
                (organization, EVENT, json.dumps({"number": number})),
            )
            load.events += 1


async def watch(place: Place, books: Books, load: Load, out: Path) -> None:
    """Write a sample each 10 s, for ever."""
    began = time.monotonic()
    pids = place.pids()
    with out.open("w", encoding="utf-8") as file:
        for number in itertools.count(1):
            await asyncio.sleep(max(0.0, began + number * EVERY - time.monotonic()))
            sample: dict[str, Any] = {"at_s": round(time.monotonic() - began, 1)}
            for name, pid in pids.items():
                seen = await asyncio.to_thread(look, pid)
                sample |= {f"{name}_mb": seen.megabytes, f"{name}_cpu_s": seen.cpu_seconds}
                if name == "daemon":
                    sample |= {"daemon_threads": seen.threads, "daemon_files": seen.files}
            sample |= await asyncio.to_thread(books.sample, EVERY)
            sample |= {**load.drain(), "answers": dict(load.answers), "events": load.events}
            file.write(json.dumps(sample) + "\n")
            file.flush()
            if number % 6 == 0:
                print(
                    f"{sample['at_s'] / 60:5.1f} min  daemon {sample['daemon_mb']:.1f} MB"
                    f"  queue lag {sample['queue_lag_s']:.2f} s  schedule lag"
                    f" {sample['schedule_lag_s']:.2f} s  ended {sample['ended']}",
                    flush=True,
                )


async def soak(place: Place, options: argparse.Namespace, books: Books) -> Load:
    """Load the daemon for as long as asked, then let everything end."""
    load = Load()
    hooks, organization = books.hooks(), books.organization()
    sending = [
        asyncio.create_task(call_webhooks(hooks, options.webhooks, load)),
        asyncio.create_task(send_events(place, organization, options.events, load)),
    ]
    watching = asyncio.create_task(watch(place, books, load, options.out))
    tasks = [*sending, watching]
    try:
        done, _ = await asyncio.wait(
            tasks, timeout=60 * options.minutes, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()  # raises: none of them ends by itself
        load.enough.set()
        await asyncio.gather(*sending)
        for _ in range(int(PATIENCE)):
            await asyncio.sleep(1.0)
            if not books.unfinished():
                break
    finally:
        await _cut(tasks)
    return load


async def _cut(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Give the median of the slopes of all pairs: single outliers don't move it."""
    thinned = points[:: max(1, len(points) // 200)]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(thinned, 2)]
    return statistics.median(slopes) if slopes else 0.0


def verdict(
    samples: Sequence[dict[str, Any]], load: Load, books: dict[str, Any], warm_up: float
) -> dict[str, Any]:
    """Judge: memory, lags, books."""
    after = [sample for sample in samples if sample["at_s"] >= warm_up] or list(samples)
    hours = (after[-1]["at_s"] - after[0]["at_s"]) / 3600
    memory = [(sample["at_s"] / 3600, sample["daemon_mb"]) for sample in after]
    median = statistics.median(value for _, value in memory)
    growth = slope(memory)
    facts: dict[str, Any] = {
        "minutes": round(samples[-1]["at_s"] / 60, 1),
        "samples": len(samples),
        "daemon_mb_first_median_last": [memory[0][1], median, memory[-1][1]],
        "daemon_mb_per_hour": round(growth, 2),
        "daemon_mb_per_hour_last_half": round(slope(memory[len(memory) // 2 :]), 2),
        "daemon_cpu_s_per_execution": _cpu(samples),
        "accepted": load.answers["202"],
        "answers": dict(load.answers),
        "events": load.events,
        **books,
    }
    checks = {"memory is flat": growth * hours <= MEMORY * median}
    for name in ("queue_lag_s", "schedule_lag_s", "pickup_s", "daemon_files"):
        values = [sample[name] for sample in after]
        third = max(1, len(values) // 3)
        first, last = statistics.median(values[:third]), statistics.median(values[-third:])
        facts[f"{name}_first_third_last_third_max"] = [
            round(first, 3), round(last, 3), max(values),
        ]  # fmt: skip
        # Medians: whatever else the machine does for a minute moves them little.
        checks[f"{name} does not grow"] = last <= 1.5 * first + 1.0
    executions = books["executions"]
    hooked = sum(n for name, n in executions.items() if name.startswith("webhook "))
    heard = sum(n for name, n in executions.items() if name.startswith("event "))
    checks |= {
        "every call was accepted": set(load.answers) == {"202"},
        "each accepted call is one execution": hooked == load.answers["202"],
        "each event reached each listener once": heard == LISTENERS * load.events,
        "everything ended well": {name.split()[1] for name in executions} == {"SUCCESS"},
        "counters equal rows": books["wrong_counters"] == 0,
        "no schedule skipped or doubled a minute": books["schedule_gaps"] == 0,
    }
    return {"passed": all(checks.values()), "checks": checks, "facts": facts}


def _cpu(samples: Sequence[dict[str, Any]]) -> float:
    ended = sum(sample["ended"] for sample in samples[1:])
    spent = samples[-1]["daemon_cpu_s"] - samples[0]["daemon_cpu_s"]
    return round(float(spent) / ended, 5) if ended else 0.0


def main() -> None:
    """Soak, judge, and exit with 1 when something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm-up", type=float, default=None, help="minutes; a sixth, if left out")
    parser.add_argument("--webhooks", type=float, default=2.0, help="calls a second")
    parser.add_argument("--events", type=float, default=0.25, help="events a second")
    parser.add_argument("--out", type=Path, default=Path("soak.jsonl"))
    options = parser.parse_args()
    warm_up = 60 * (options.minutes / 6 if options.warm_up is None else options.warm_up)
    with tempfile.TemporaryDirectory(prefix="reconciler-soak-") as folder:
        with running(Path(folder)) as place:
            books = Books(place.database_url)
            try:
                load = asyncio.run(soak(place, options, books))
                closed = books.close_books()
            finally:
                books.close()
                log = (place.folder / "daemon.err").read_bytes()
                options.out.with_suffix(".daemon.log").write_bytes(log)
    samples = [json.loads(line) for line in options.out.read_text("utf-8").splitlines()]
    judged = verdict(samples, load, closed, warm_up)
    text = json.dumps(judged, indent=2)
    options.out.with_suffix(".verdict.json").write_text(text, encoding="utf-8")
    print(text)
    sys.exit(0 if judged["passed"] else 1)


if __name__ == "__main__":
    main()
