"""Ends are written together, whatever PostgreSQL says to some of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from reconciler.errors import DatabaseLost, DatabaseUnreachable, ReconcilerError
from reconciler.runtime.completer import Completer, Written
from reconciler.trigger.execution import Ended, Status


@dataclass(slots=True)
class Books:
    """Takes ends as PostgreSQL does: all of a batch or none."""

    batches: list[list[str]] = field(default_factory=list)
    written: dict[str, Ended] = field(default_factory=dict)
    told: list[Written] = field(default_factory=list)
    errors: list[ReconcilerError] = field(default_factory=list)
    refused: str = ""  # a text that no row may hold
    owned_by_others: frozenset[str] = frozenset()

    async def complete(self, ended: Sequence[Ended]) -> set[tuple[str, int]]:
        if self.errors:
            error = self.errors.pop(0)
            if isinstance(error, DatabaseLost):
                self._write(ended)
            raise error
        if self.refused and any(self.refused in str(one) for one in ended):
            raise ReconcilerError("a text contains what can't be stored")
        return self._write(ended)

    def _write(self, ended: Sequence[Ended]) -> set[tuple[str, int]]:
        fresh = [
            one
            for one in ended
            if one.id not in self.written and one.id not in self.owned_by_others
        ]
        self.batches.append([one.id for one in fresh])
        self.written.update({one.id: one for one in fresh})
        return {(one.id, one.attempt) for one in fresh}


@asynccontextmanager
async def completing(books: Books) -> AsyncIterator[Completer]:
    completer = Completer(books.complete, books.told.extend, gather=lambda: 0.01)
    task = asyncio.create_task(completer.run())
    yield completer
    async with asyncio.timeout(5):
        await completer.drained()
    task.cancel()


def end(id_: str, output: str = "") -> Ended:
    return Ended(id=id_, attempt=1, status=Status.SUCCESS, output=[output])


async def test_what_ends_together_is_written_together() -> None:
    books = Books()
    async with completing(books) as completer:
        for number in range(250):
            completer.add(end(f"{number:03}"))

    assert [200, 50] == [len(batch) for batch in books.batches]
    assert all(one.real for one in books.told)


async def test_what_postgresql_does_not_take_now_is_written_later() -> None:
    books = Books(errors=[DatabaseUnreachable("away"), DatabaseUnreachable("away")])
    async with completing(books) as completer:
        completer.add(end("a"))
        await asyncio.sleep(0.05)
        completer.add(end("b"))

    assert books.written.keys() == {"a", "b"}


async def test_a_commit_without_an_answer_is_made_again_and_changes_nothing() -> None:
    books = Books(errors=[DatabaseLost("broke during a commit")])
    async with completing(books) as completer:
        completer.add(end("a"))

    assert [["a"], []] == books.batches
    assert [("a", False)] == [(one.ended.id, one.real) for one in books.told]


async def test_one_row_that_is_refused_loses_its_output_and_holds_up_no_other() -> None:
    books = Books(refused="poison")
    async with completing(books) as completer:
        for number in range(20):
            completer.add(end(f"{number:02}", "poison" if number == 7 else "fine"))

    assert len(books.written) == 20
    hurt = books.written["07"]
    assert (hurt.status, hurt.output, hurt.output_truncated) == (Status.SUCCESS, None, True)
    assert hurt.error_message == (
        "what the run left can't be stored: a text contains what can't be stored"
    )
    assert books.written["08"].output == ["fine"]


async def test_a_row_that_is_refused_without_its_output_too_is_given_up() -> None:
    books = Books(refused="poison")
    async with completing(books) as completer:
        completer.add(end("poison"))
        completer.add(end("fine"))

    assert books.written.keys() == {"fine"}
    assert {("poison", False), ("fine", True)} == {(one.ended.id, one.real) for one in books.told}


async def test_an_end_that_comes_too_late_is_told() -> None:
    books = Books(owned_by_others=frozenset({"a"}))
    async with completing(books) as completer:
        completer.add(end("a"))

    assert [False] == [one.real for one in books.told]
