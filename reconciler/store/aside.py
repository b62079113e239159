"""An automation whose rate window somebody holds does not hold up the calls of the others.

A batch waits for all windows that it counts in; a daemon that froze in the middle of a call keeps
one of them locked until PostgreSQL ends its session. Not here: taking calls in
(`reconciler.store.deliveries`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from reconciler.errors import ConflictError, ReconcilerError
from reconciler.store.deliveries import Delivered, Delivery

PATIENCE: Final = 1.0  # seconds that a batch waits for a window
_REST: Final = 2.0  # seconds before an automation whose window was held is asked for again

Accept = Callable[[Sequence[Delivery]], Awaitable[Sequence[Delivered]]]


class Aside:
    """Takes calls in by *accept*, and those of an automation that blocks it apart from the rest."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._held: dict[str, tuple[float, ReconcilerError]] = {}  # until when, by the loop's clock

    async def __call__(self, calls: Sequence[Delivery]) -> list[Delivered]:
        """Take calls in; the answers are in their order. Raises what *accept* raises."""
        now = asyncio.get_running_loop().time()
        self._held = {id_: held for id_, held in self._held.items() if held[0] > now}
        answers: dict[int, Delivered] = {}
        places: list[int] = []
        for place, call in enumerate(calls):
            held = self._held.get(call.new.automation_id)
            if held is None:
                places.append(place)
            else:
                answers[place] = Delivered(error=held[1])
        if places:
            found = await self._take([calls[place] for place in places])
            answers |= dict(zip(places, found, strict=True))
        return [answers[place] for place in range(len(calls))]

    async def _take(self, calls: Sequence[Delivery]) -> list[Delivered]:
        try:
            answers = list(await self._accept(calls))
        except ConflictError as error:
            answers = [Delivered(error=error)] * len(calls)
        groups: dict[str, list[int]] = {}
        for place, answer in enumerate(answers):
            if isinstance(answer.error, ConflictError):  # nothing was written
                groups.setdefault(calls[place].new.automation_id, []).append(place)
        if len(groups) <= 1:
            for automation, group in groups.items():
                self._hold(automation, answers[group[0]].error)
            return answers
        apart = await asyncio.gather(
            *(self._alone([calls[place] for place in group]) for group in groups.values())
        )
        for group, found in zip(groups.values(), apart, strict=True):
            for place, answer in zip(group, found, strict=True):
                answers[place] = answer
        return answers

    async def _alone(self, calls: Sequence[Delivery]) -> list[Delivered]:
        """Take the calls of one automation in; whatever goes wrong concerns only them."""
        try:
            return await self._take(calls)
        except ReconcilerError as error:
            return [Delivered(error=error)] * len(calls)

    def _hold(self, automation: str, error: ReconcilerError | None) -> None:
        if error is not None:
            until = asyncio.get_running_loop().time() + _REST
            self._held[automation] = (until, error)
