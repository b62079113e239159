"""In which word a run is remembered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.engine.outcome import Outcome, Report, State, is_whole
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.plan.change import Action, Change, Guard, Plan, Reason
from reconciler.plan.diff import Cause, FieldChange
from reconciler.plan.state import Desired, Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import Ref, Side


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


A = Address("acme", "Automation", "a")
SPEC = (FieldChange(("n8n", "name"), "old", "new", Cause.SPEC),)
DRIFT = (FieldChange(("n8n", "name"), "by hand", "old", Cause.DRIFT),)
NEWS = Change(address=A, action=Action.UPDATE, reason=Reason.CHANGED, fields=SPEC)
REPAIR = Change(address=A, action=Action.UPDATE, reason=Reason.DRIFTED, fields=DRIFT)
KEY = Address("acme", "Credential", "key")
LINK = ("n8n", "credential")
PASSED_ON = FieldChange(LINK, Ref(KEY, Side.N8N, stale=True), Ref(KEY, Side.N8N), Cause.SPEC)
RELINK = Change(address=A, action=Action.UPDATE, reason=Reason.RELINKED, fields=(PASSED_ON,))
REMOVAL = Change(address=A, action=Action.REMOVE, reason=Reason.REMOVED)


@pytest.mark.parametrize(
    "change, state, counts",
    [
        (NEWS, State.APPLIED, True),
        (NEWS, State.FAILED, False),
        (NEWS, State.NOT_ATTEMPTED, False),
        (replace(NEWS, blocked="held"), State.BLOCKED, False),
        (replace(NEWS, blocked="held"), None, False),
        (replace(NEWS, action=Action.CREATE, blocked="no secret", fields=()), None, False),
        (replace(NEWS, action=Action.RECORD), None, True),
        (replace(NEWS, action=Action.RECORD, blocked="held"), None, False),
        (replace(REPAIR, blocked="held"), State.BLOCKED, True),
        (REPAIR, State.FAILED, True),
        (replace(REMOVAL, blocked="protected", guard=Guard.PROTECTED), State.BLOCKED, True),
        (replace(REMOVAL, blocked="held"), State.BLOCKED, False),
        (REMOVAL, State.FAILED, False),
    ],
)
def test_a_revision_is_applied_when_all_that_it_declares_was_made(
    change: Change, state: State | None, *, counts: bool
) -> None:
    ended = {} if state is None else {change.key: state}
    assert counts == is_whole(Plan(waves=((change,),)), ended)


def key(action: Action, reason: Reason, cause: Cause, wants: str = "old") -> Change:
    """A credential that gets a new id, by what the specs want of it now."""
    fields = () if action is Action.CREATE else (FieldChange(("n8n", "type"), "x", wants, cause),)
    return Change(
        address=KEY,
        action=action,
        reason=reason,
        fields=fields,
        desired=Desired(address=KEY, payload={"n8n": {"type": wants}}),
        recorded=Recorded(address=KEY, row_id="k", payload={"n8n": {"type": "old"}}),
    )


@pytest.mark.parametrize("state", [State.FAILED, State.BLOCKED, State.NOT_ATTEMPTED])
@pytest.mark.parametrize(
    "cause, counts",
    [
        (key(Action.CREATE, Reason.VANISHED, Cause.DRIFT), True),
        (key(Action.REPLACE, Reason.IMMUTABLE, Cause.DRIFT), True),
        (key(Action.REPLACE, Reason.IMMUTABLE, Cause.SPEC, "new"), False),
        (key(Action.REPLACE, Reason.IMMUTABLE, Cause.BOTH, "new"), False),
        (key(Action.CREATE, Reason.VANISHED, Cause.DRIFT, "new"), False),
        (None, False),  # an earlier apply left it
    ],
    ids=["deleted", "by hand", "by the specs", "both", "deleted and changed", "earlier"],
)
def test_a_new_id_that_was_not_passed_on_counts_when_only_drift_asks_for_it(
    cause: Change | None, state: State, *, counts: bool
) -> None:
    first = () if cause is None else (cause,)
    ended = {RELINK.key: state} | {change.key: State.APPLIED for change in first}
    assert counts == is_whole(Plan(waves=(first, (RELINK,))), ended)
