"""What a benchmark says: one line of the table a figure, as a ratio to a baseline of the same run."""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

_HEAD = ("part", "what", "ours", "baseline", "ratio", "aim", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing; *ratio* is ours to the baseline, whatever is better."""

    part: str
    what: str
    ours: float | None = None
    baseline: float | None = None
    unit: str = "s"
    ratio: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def aim(self) -> str:
        """What is wanted of the ratio, or of our figure where there is no baseline."""
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "" if self.at_least is None else f">= {self.at_least:g}"

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None: there is none."""
        judged = self.ours if self.ratio is None else self.ratio
        if judged is None or not self.aim:
            return None
        if self.at_most is not None:
            return judged <= self.at_most
        return self.at_least is not None and judged >= self.at_least


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the clock and seconds of CPU of this process."""

    wall: float
    cpu: float

    @classmethod
    def middle(cls, rounds: Iterable[Self]) -> Self:
        """Give the median of each."""
        found = list(rounds)
        wall = statistics.median(r.wall for r in found)
        return cls(wall, statistics.median(r.cpu for r in found))


class Watch:
    """A stopwatch for wall and CPU time that starts when it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def spent(self) -> Spent:
        """Tell what has passed since the start."""
        return Spent(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def timed(work: Callable[[], object]) -> Spent:
    """Measure one call."""
    watch = Watch()
    work()
    return watch.spent()


def against(part: str, what: str, ours: float, baseline: float, **more: object) -> Figure:
    """Compare two times: the ratio says how many times the baseline ours takes."""
    return Figure(part=part, what=what, ours=ours, baseline=baseline, ratio=ours / baseline, **more)  # type: ignore[arg-type]


def exponent(small: float, large: float, growth: float) -> float:
    """Tell with which power of the size the cost grows; 1 is linear."""
    return math.log(large / small) / math.log(growth)


def peak_memory() -> float:
    """Tell the largest size that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(figures: Iterable[Figure]) -> str:
    """Write all figures as one table."""
    found = list(figures)
    lines = [_HEAD, *(_cells(figure) for figure in found)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(_HEAD))]
    text = []
    for number, line in enumerate(lines):
        cells = zip(line, widths, range(len(line)), strict=True)
        text.append(
            "  ".join(c.rjust(w) if 2 <= at <= 4 else c.ljust(w) for c, w, at in cells).rstrip()
        )
        if number == 0:
            text.append("  ".join("-" * width for width in widths))
    notes = [f"* {f.part}, {f.what}: {f.note}" for f in found if f.note]
    return "\n".join([*text, *notes])


def _cells(figure: Figure) -> tuple[str, ...]:
    judged = {True: "ok", False: "MISSED", None: ""}[figure.met]
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return (
        figure.part,
        figure.what,
        _value(figure.ours, figure.unit),
        _value(figure.baseline, figure.unit),
        ratio,
        figure.aim,
        judged,
    )


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.3g} {unit}" if abs(value) < 100 else f"{value:.0f} {unit}"


def write(path: Path, figures: Iterable[Figure], sizes: dict[str, int]) -> None:
    """Write everything as JSON, with what is needed to judge it later."""
    document = {
        "format_version": "1.0",
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "cores": os.cpu_count(),
            "load": os.getloadavg(),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "sizes": sizes,
        "figures": [{**asdict(f), "aim": f.aim, "met": f.met} for f in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
