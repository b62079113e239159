"""Which trigger a call of the API or a person's command stands for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from reconciler.trigger.execution import Cause
from reconciler.trigger.manual import UnknownTrigger, Way, way_of_call, way_of_hand
from reconciler.trigger.match import FilterFailed


@dataclass(frozen=True)
class One:
    id: str
    name: str | None = None
    type: str = "API_CALL"
    active: bool = True
    filters: str | None = None


HOOK = One("t1", "hook", "WEBHOOK")
CALL = One("t2", "api", filters='{"kind": "order"}')
OTHER = One("t3", "other", filters='{"kind": "return"}')
OFF = One("t4", "off", active=False)


def test_a_call_takes_the_first_api_trigger_that_lets_it_in() -> None:
    known = [HOOK, CALL, OTHER, OFF]
    assert Way(Cause.API, "t2") == way_of_call(known, None, {"kind": "order"})
    assert Way(Cause.API, "t3") == way_of_call(known, None, {"kind": "return"})
    assert way_of_call(known, None, {"kind": "spam"}) is None


def test_an_automation_without_an_api_trigger_is_run_as_by_hand() -> None:
    assert Way(Cause.MANUAL, None) == way_of_call([HOOK, OFF], None, {})
    assert Way(Cause.MANUAL, None) == way_of_call([], None, {})


def test_a_named_trigger_counts_alone() -> None:
    known = [HOOK, CALL, OTHER]
    assert Way(Cause.MANUAL, "t1") == way_of_call(known, "hook", {})
    assert Way(Cause.API, "t3") == way_of_call(known, "other", {"kind": "return"})
    assert way_of_call(known, "other", {"kind": "order"}) is None


def test_no_filter_keeps_a_person_out() -> None:
    assert Way(Cause.MANUAL, "t2") == way_of_hand([HOOK, CALL], "api")
    assert Way(Cause.MANUAL, None) == way_of_hand([HOOK, CALL], None)


def test_an_unknown_or_inactive_name_is_said_with_those_there_are() -> None:
    for name in ("nope", "off"):
        with pytest.raises(UnknownTrigger, match=f'no active trigger "{name}": api, hook'):
            way_of_call([HOOK, CALL, OFF], name, {})
        with pytest.raises(UnknownTrigger):
            way_of_hand([OFF], name)


def test_a_broken_filter_is_not_taken_for_a_no() -> None:
    with pytest.raises(FilterFailed):
        way_of_call([One("t", "t", filters="{}")], None, {})
