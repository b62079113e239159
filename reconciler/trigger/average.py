"""The seed's moving average of run times. Not here: the column that holds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ALPHA: Final = 0.1  # the seed's smoothing factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """What several values do to an average: ``(average or first) * weight + addend``."""

    first: float = 0.0
    weight: float = 1.0
    addend: float = 0.0

    def after(self, average: float | None) -> float | None:
        """Give the average after these values; None stays None when there are none."""
        if self.weight == 1.0:
            return average
        return (self.first if average is None else average) * self.weight + self.addend


def fold(values: Iterable[float]) -> Fold:
    """Fold *values*, oldest first, into one step, so that a batch is one UPDATE."""
    first, weight, addend = None, 1.0, 0.0
    for value in values:
        first = value if first is None else first
        weight *= 1 - ALPHA
        addend = addend * (1 - ALPHA) + ALPHA * value
    return Fold(first=first or 0.0, weight=weight, addend=addend)
