"""Order: who goes before whom, and what may go side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, TypeVar


class Sortable(Protocol):
    """Something with an order of its own, so that plans come out the same every time."""

    def __lt__(self, other: Any, /) -> bool:
        """Compare with another one."""
        raise NotImplementedError

    def __hash__(self) -> int:
        """Hash it, too."""
        raise NotImplementedError


NodeT = TypeVar("NodeT", bound=Sortable)


def layers(before: Mapping[NodeT, AbstractSet[NodeT]]) -> Iterator[list[NodeT]]:
    """Yield the nodes in layers, each after all that must go *before* it.

    Specs have no cycles, but hands can make one in n8n: it is then cut at its
    first node, for an order that is not perfect is better than none.
    """
    waiting = {
        node: {b for b in need if b in before and b != node} for node, need in before.items()
    }
    after: defaultdict[NodeT, list[NodeT]] = defaultdict(list)
    for node, need in waiting.items():
        for earlier in need:
            after[earlier].append(node)
    ready = sorted(node for node, need in waiting.items() if not need)
    while waiting:
        layer = ready or [min(waiting)]
        yield layer
        for node in layer:
            del waiting[node]
        free = set()
        for node in layer:
            for later in after[node]:
                if later in waiting:
                    waiting[later].discard(node)
                    if not waiting[later]:
                        free.add(later)
        ready = sorted(free)
