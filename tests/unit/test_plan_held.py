"""What is held back, what waits with it, and what goes on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.engine.backoff import Failure, delay, failed, waits
from reconciler.engine.conditions import Findings, failures, undeclared
from reconciler.plan.change import Action, Change, Plan, Reason
from reconciler.plan.diff import Cause, FieldChange
from reconciler.plan.held import intends, only_drift, undoes, withhold
from reconciler.plan.restraint import Hold, Place, Restraint, What
from reconciler.plan.state import Desired, Observed, Recorded, World
from reconciler.resource.address import Address

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B, C = (Address("acme", "Automation", name) for name in ("a", "b", "c"))
SPEC = FieldChange(("n8n", "name"), "old", "new", Cause.SPEC)
DRIFT = FieldChange(("n8n", "name"), "by hand", "old", Cause.DRIFT)
BOTH = FieldChange(("n8n", "name"), "by hand", "new", Cause.BOTH)


def change(
    address: Address,
    action: Action = Action.UPDATE,
    field: FieldChange = SPEC,
    needs: tuple[Address, ...] = (),
) -> Change:
    ends = action in {Action.REMOVE, Action.FORGET, Action.DISCARD}
    return Change(
        address=address,
        action=action,
        reason=Reason.CHANGED,
        fields=() if ends or action is Action.CREATE else (field,),
        desired=None if ends else Desired(address=address, payload={"n8n": {"name": "new"}}),
        recorded=Recorded(address=address, row_id="r", payload={"n8n": {"name": "old"}}),
        needs=needs,
    )


def held(*changes: Change, hold: Address = A) -> dict[Address, str | None]:
    """Withhold one address; tell what is blocked, and why."""
    plan = Plan(waves=tuple((one,) for one in changes))
    result = withhold(plan, lambda one: "held" if one.address == hold else None)
    return {one.address: one.blocked for one in result.changes}


def test_what_does_not_need_it_goes_on() -> None:
    assert held(change(A), change(B)) == {A: "held", B: None}


def test_what_needs_something_that_is_there_goes_on() -> None:
    plan = Plan(waves=((change(A),), (change(B, needs=(A, C)),)))
    result = withhold(plan, lambda one: "held" if one.address == A else None)

    assert [(A, "held", ()), (B, None, (C,))] == [
        (one.address, one.blocked, one.needs) for one in result.changes
    ]


@pytest.mark.parametrize("action", [Action.CREATE, Action.REPLACE, Action.ADOPT])
def test_what_needs_something_that_would_have_to_be_made_waits(action: Action) -> None:
    found = held(change(A, action), change(B, needs=(A,)), change(C, needs=(B,)))

    assert found == {A: "held", B: f"needs {A}, which is held back", C: None}


def test_what_must_be_made_waits_down_the_whole_line() -> None:
    create = Action.CREATE
    found = held(change(A, create), change(B, create, needs=(A,)), change(C, create, needs=(B,)))

    assert all(found.values())


def test_nothing_ends_that_something_held_still_refers_to() -> None:
    found = held(change(A), change(B, Action.REMOVE, needs=(A,)))

    assert found == {A: "held", B: f"needs {A}, which is held back"}


def test_a_plan_without_holds_is_the_same_plan() -> None:
    plan = Plan(waves=((change(A),),))

    assert withhold(plan, lambda _: None) is plan


@pytest.mark.parametrize(
    "field, intent, undo", [(SPEC, True, False), (DRIFT, False, True), (BOTH, True, True)]
)
def test_intent_and_drift_are_told_apart(field: FieldChange, intent: bool, undo: bool) -> None:
    one = change(A, field=field)

    assert (intends(one), undoes(one), only_drift(one)) == (intent, undo, not intent)


def test_a_removal_is_intent() -> None:
    assert intends(change(A, Action.REMOVE))


def hold(place: str, *what: What) -> Hold:
    return Hold(
        id="h", place=Place.parse(place), what=frozenset(what), reason="INC-1", by="ada", since=NOW
    )


@pytest.mark.parametrize(
    "place, covered",
    [
        ("/", {A, B}),
        ("acme", {A, B}),
        ("acme/Automation", {A, B}),
        ("acme/Automation/a", {A}),
        ("acme/Credential", set()),
        ("other", set()),
    ],
)
def test_a_hold_covers_what_lies_below_its_place(place: str, covered: set[Address]) -> None:
    parsed = Place.parse(place)

    assert {address for address in (A, B) if parsed.covers(address)} == covered
    assert str(parsed) == place


@pytest.mark.parametrize("text", ["", "a//b", "/a", "a/", "a/b/c/d"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="organization"):
        Place.parse(text)


@pytest.mark.parametrize(
    "what, field, waits_",
    [
        (What.APPLY, SPEC, True),
        (What.APPLY, DRIFT, False),
        (What.APPLY, BOTH, True),
        (What.HEAL, SPEC, False),
        (What.HEAL, DRIFT, True),
        (What.HEAL, BOTH, True),
        (What.FIRE, SPEC, False),
        (What.FIRE, DRIFT, False),
    ],
)
def test_a_hold_stops_what_it_says(what: What, field: FieldChange, waits_: bool) -> None:
    restraint = Restraint(holds=(hold("acme", what),))

    assert (restraint.reason(change(A, field=field)) is not None) == waits_


def test_a_switch_that_is_off_stops_all_that_is_new_and_nothing_else() -> None:
    restraint = Restraint(apply=False)

    assert restraint.reason(change(A)) is not None
    assert restraint.reason(change(A, field=DRIFT)) is None


def test_the_waits_after_failures_double_up_to_ten_minutes() -> None:
    assert [delay(count) for count in range(1, 9)] == [10, 20, 40, 80, 160, 320, 600, 600]
    assert delay(10_000) == 600


class TestBackoff:
    """A failed change waits, but only for as long as nothing about it is new."""

    def fail(self, times: int) -> Failure:
        found: Failure | None = None
        for _ in range(times):
            found = failed(change(A), found, "n8n refuses it", NOW)
        assert found is not None
        return found

    def test_it_waits_until_its_time(self) -> None:
        failure = self.fail(3)

        assert failure.retry_at == NOW + timedelta(seconds=40)
        note = waits(change(A), failure, NOW + timedelta(seconds=39))
        assert note == "failed 3 times, is tried again at 12:00:40 UTC: n8n refuses it"
        assert waits(change(A), failure, NOW + timedelta(seconds=40)) is None

    def test_a_new_spec_is_tried_at_once_and_counts_from_one(self) -> None:
        other = Desired(address=A, payload={"n8n": {"name": "newer"}})
        newer = Change(address=A, action=Action.UPDATE, reason=Reason.CHANGED, desired=other)

        assert waits(newer, self.fail(5), NOW) is None
        assert failed(newer, self.fail(5), "again", NOW).count == 1

    def test_what_somebody_changed_in_n8n_is_tried_at_once(self) -> None:
        seen = Observed(address=A, payload={"n8n": {"name": "by hand"}}, object_id="7")
        moved = Change(
            address=A,
            action=Action.UPDATE,
            reason=Reason.CHANGED,
            desired=change(A).desired,
            observed=seen,
        )

        assert waits(moved, self.fail(5), NOW) is None
        assert failed(moved, self.fail(5), "again", NOW).count == 6

    def test_it_is_remembered_through_the_conditions(self) -> None:
        findings = Findings()
        findings.failed(A, self.fail(2))
        kept = findings.documents({}, "abc", NOW)

        assert failures(kept) == {A: self.fail(2)}
        assert findings.retry_at == NOW + timedelta(seconds=20)

    def test_a_condition_that_somebody_spoiled_is_no_failure(self) -> None:
        kept = {A: [{"type": "Synced", "retry_at": "soon", "failures": "many"}]}

        assert failures(kept) == {}  # type: ignore[arg-type]


def test_what_is_no_longer_declared_is_remembered_through_the_conditions_whatever_keeps_it() -> (
    None
):
    findings = Findings()
    removal = replace(change(B, Action.REMOVE), blocked="protected")
    discard = change(C, Action.DISCARD)
    plan = Plan(waves=((removal, discard),), undeclared=(A,))
    findings.look(plan, World(desired={}, recorded={}, observed={}))
    kept = findings.documents({}, "rev", NOW)

    assert {A: "Undeclared", B: "Blocked", C: "Pending"} == {
        address: documents[0]["reason"] for address, documents in kept.items()
    }
    assert {A, B} == undeclared(kept)


def test_a_condition_keeps_the_moment_at_which_it_became_what_it_is() -> None:
    world = World(desired={}, recorded={A: Recorded(address=A, row_id="r")}, observed={})
    findings = Findings()
    findings.look(Plan(), world)
    first = findings.documents({}, "one", NOW)
    later = findings.documents(first, "two", NOW + timedelta(hours=1))
    findings.left(A, "Waiting", "for another")
    changed = findings.documents(later, "two", NOW + timedelta(hours=2))

    moments = [found[A][0]["since"] for found in (first, later, changed)]
    assert moments == [NOW.isoformat(), NOW.isoformat(), (NOW + timedelta(hours=2)).isoformat()]
    assert later[A][0]["revision"] == "two"
