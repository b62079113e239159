"""In which word a run is remembered."""

from __future__ import annotations

import pytest

from reconciler.engine.outcome import Outcome, Report, State
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.resource.address import Address


def report(*states: State, refused: bool = False) -> Report:
    outcomes = tuple(
        Outcome(
            address=Address("acme", "Automation", f"a{number}"),
            action="update",
            state=state,
            error=ReconcilerError("no") if state is State.FAILED else None,
        )
        for number, state in enumerate(states)
    )
    return Report(outcomes=outcomes, refused=refused)


@pytest.mark.parametrize(
    "ended, word",
    [
        (report(), "done"),
        (report(State.APPLIED), "done"),
        (report(State.APPLIED, State.BLOCKED), "partly"),
        (report(State.BLOCKED, State.BLOCKED), "partly"),
        (report(State.APPLIED, State.NOT_ATTEMPTED), "partly"),
        (report(State.APPLIED, refused=True), "partly"),
        (report(State.APPLIED, State.FAILED), "partly"),
        (report(State.FAILED, State.BLOCKED), "failed"),
    ],
)
def test_a_run_that_left_something_is_not_remembered_as_done(ended: Report, word: str) -> None:
    assert word == ended.outcome


def test_what_is_blocked_still_ends_with_refused() -> None:
    assert ExitCode.REFUSED is report(State.APPLIED, State.BLOCKED).exit_code
