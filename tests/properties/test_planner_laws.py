"""The seven laws of apply: a few histories with the process killed at every single effect.

Each law also has a mutant, the planner or its runner without it; a law that no
history misses would be no law.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from reconciler.plan import link as linking
from reconciler.plan import order, planner, removal, view
from reconciler.plan.change import Action, Change, Plan
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.state import Desired, Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, Ref, Side
from tests.doubles import plan_servers
from tests.doubles.plan_runner import Runner
from tests.doubles.plan_servers import SECRETS, STRANGER, TRAITS, Crash, Servers, seal

Specs = dict[Address, Desired]
PRUNE = PlanOptions(prune=True)
ORGANIZATION = frozenset({"acme"})
C, D = (Address("acme", "Credential", name) for name in ("c", "d"))
A, B = (Address("acme", "Automation", name) for name in ("a", "b"))
T = Address("acme", "Trigger", "t")


def credential(type_: str = "slack", secret: str = "s1") -> Payload:
    return {"row": {"active": True}, "n8n": {"type": type_, "data": {"token": seal(secret)}}}


def automation(*uses: Address, text: str = "x") -> Payload:
    nodes: Payload = {"start": {"text": text}}
    for used in uses:
        nodes[f"use {used}"] = {"id": Ref(used)}
    return {"row": {"active": True}, "n8n": {"nodes": nodes, "live": "draft", "archived": False}}


def trigger(of: Address) -> Payload:
    return {"row": {"automation": Ref(of, Side.ROW), "active": True}}


def specs(payloads: dict[Address, Payload], moved: dict[Address, Address] | None = None) -> Specs:
    from_ = moved or {}
    return {a: Desired(address=a, payload=p, moved_from=from_.get(a)) for a, p in payloads.items()}


BASE = {C: credential(), A: automation(C), T: trigger(A)}


@dataclass(frozen=True)
class History:
    """What was applied, what was done by hand, and the commit during which the process dies."""

    before: Specs
    after: Specs
    by_hand: Callable[[Servers], None] = lambda _: None
    finally_: Specs | None = None  # another commit arrives before the restart


def delete_objects(kind: str) -> Callable[[Servers], None]:
    def by_hand(servers: Servers) -> None:
        for id_ in [i for i, thing in servers.things.items() if thing.kind == kind]:
            del servers.things[id_]

    return by_hand


HISTORIES = {
    "create": History({}, specs(BASE)),
    "create and take back": History({}, specs(BASE), finally_=specs({C: credential()})),
    "create, then with another secret": History(
        {}, specs(BASE), finally_=specs({**BASE, C: credential(secret="s2")})
    ),
    "change a secret and take it back": History(
        specs(BASE), specs({**BASE, C: credential(secret="s2")}), finally_=specs(BASE)
    ),
    "update": History(specs(BASE), specs({**BASE, A: automation(C, text="y")})),
    "replace": History(specs(BASE), specs({**BASE, C: credential("smtp")})),
    "replace and take back": History(
        specs(BASE), specs({**BASE, C: credential("smtp")}), finally_=specs(BASE)
    ),
    "replace, then remove": History(
        specs(BASE), specs({**BASE, C: credential("smtp")}), finally_=specs({B: automation()})
    ),
    "remove": History(specs(BASE), specs({B: automation()})),
    "remove and declare again": History(
        specs(BASE), specs({B: automation()}), finally_=specs(BASE)
    ),
    "swap what is used": History(
        specs(BASE), specs({D: credential(), A: automation(D), T: trigger(A)})
    ),
    "use one more, then remove everything": History(
        specs(BASE),
        specs({**BASE, D: credential(), A: automation(C, D)}),
        finally_=specs({B: automation()}),
    ),
    "deleted by hand": History(specs(BASE), specs(BASE), delete_objects("Credential")),
    "workflows deleted by hand": History(
        specs({**BASE, B: automation(A)}),
        specs({**BASE, B: automation(A)}),
        delete_objects("Automation"),
    ),
    "rename": History(
        specs(BASE), specs({D: credential(), A: automation(D), T: trigger(A)}, {D: C})
    ),
    "rename and replace": History(
        specs(BASE), specs({D: credential("smtp"), A: automation(D), T: trigger(A)}, {D: C})
    ),
}


def plan_for(servers: Servers, wanted: Specs) -> Plan:
    return make_plan(servers.observe(wanted, ORGANIZATION), TRAITS, PRUNE)


def apply(servers: Servers, wanted: Specs) -> None:
    Runner(servers, random.Random(0)).apply(plan_for(servers, wanted))


def play(history: History, crash: tuple[int, bool]) -> bool:
    """Play *history* with one crash; tell whether the crash came to pass."""
    servers = Servers()
    apply(servers, history.before)
    history.by_hand(servers)
    servers.crash_in, servers.crash_after = crash
    try:
        apply(servers, history.after)
    except Crash:
        crashed = True
    else:
        crashed = False
    servers.crash_in = None
    wanted = history.finally_ or history.after
    apply(servers, wanted)
    check(servers, wanted)
    return crashed


def check(servers: Servers, wanted: Specs) -> None:
    again = plan_for(servers, wanted)
    assert again.waves == (), [(str(c.address), c.action, c.why) for c in again.changes]
    for address, desired in wanted.items():
        entry = servers.inventory[address]
        assert (
            servers.rows[entry.row_id].data.items() >= servers.wired(desired.payload, "row").items()
        )
        if "n8n" in desired.payload:
            thing = servers.things[entry.object_id or ""]
            assert thing.data.items() >= servers.wired(desired.payload, "n8n").items()
    live = [
        t for t in servers.things.values() if not t.data.get("archived") and t.marker != STRANGER
    ]
    assert len(live) == sum("n8n" in d.payload for d in wanted.values()), "duplicates or leftovers"
    assert all(not entry.deposed for entry in servers.inventory.values())


def play_all() -> int:
    """Play every history with a crash before and after every effect; count the crashes."""
    crashes = 0
    for history in HISTORIES.values():
        for after in (False, True):
            effect = 1
            while play(history, (effect, after)):
                effect += 1
            crashes += effect - 1
    return crashes


@pytest.mark.parametrize("name", HISTORIES)
def test_a_crash_at_any_effect_is_made_good_by_the_next_apply(name: str) -> None:
    crashes = 0
    for after in (False, True):
        while play(HISTORIES[name], (crashes + 1, after)):
            crashes += 1
    assert crashes > 0


@pytest.mark.parametrize("name", ["rename", "rename and replace"])
def test_a_rename_keeps_the_row_id_wherever_the_process_dies(name: str) -> None:
    for after in (False, True):
        for effect in range(1, 12):
            servers = Servers()
            apply(servers, HISTORIES[name].before)
            row_id = servers.inventory[C].row_id
            servers.crash_in, servers.crash_after = effect, after
            with contextlib.suppress(Crash):
                apply(servers, HISTORIES[name].after)
            servers.crash_in = None
            apply(servers, HISTORIES[name].after)

            assert servers.inventory[D].row_id == row_id
            assert C not in servers.inventory


def test_the_histories_crash_at_hundreds_of_places() -> None:
    assert play_all() > 200


Patch = pytest.MonkeyPatch


def no_intent(patch: Patch) -> None:
    def intend(self: Runner, change: Change) -> Recorded:
        object_id = None if change.action in {Action.CREATE, Action.REPLACE} else ...
        before = self.current(change)
        if change.moved_from:
            self.servers.move(change.moved_from, before)
        kept = before.object_id if object_id is ... else None
        return replace(before, object_id=kept, deposed=(*before.deposed, *change.deposes))

    patch.setattr(Runner, "intend", intend)


def another_marker_each_time(patch: Patch) -> None:
    original = Runner.current

    def current(self: Runner, change: Change) -> Recorded:
        entry = original(self, change)
        unknown = not entry.payload and entry.object_id is None
        return replace(entry, row_id=self.servers.fresh("row")) if unknown else entry

    patch.setattr(Runner, "current", current)


def discards_first(patch: Patch) -> None:
    original = planner.make_plan

    def make(*args: Any) -> Plan:
        plan = original(*args)
        waves = sorted(plan.waves, key=lambda wave: wave[0].action is not Action.DISCARD)
        return replace(plan, waves=tuple(waves))

    patch.setitem(globals(), "make_plan", make)


def replaced_objects_are_not_remembered(patch: Patch) -> None:
    original = Runner.intend

    def intend(self: Runner, change: Change) -> Recorded:
        return original(self, replace(change, deposes=()))

    patch.setattr(Runner, "intend", intend)


def no_relinking(patch: Patch) -> None:
    def relinked(self: Any, address: Address) -> Change | None:
        found: Change | None = self.decided.get(address)
        return found

    patch.setattr(linking._Linking, "relinked", relinked)


def removal_in_building_order(patch: Patch) -> None:
    original = order.layers
    patch.setattr(removal, "layers", lambda before: reversed(list(original(before))))


def holders_by_the_record_only(patch: Patch) -> None:
    original = view._others

    def others(address: Address, payloads: Any) -> Any:
        return original(address, list(payloads)[:1])

    patch.setattr(view, "_others", others)


def references_to_replaced_objects_look_fresh(patch: Patch) -> None:
    def fresh(address: Address, side: Side, **_: bool) -> Ref:
        return Ref(address, side)

    patch.setattr(plan_servers, "Ref", fresh)


def the_record_goes_first(patch: Patch) -> None:
    def remove(self: Runner, change: Change) -> None:
        entry = self.current(change)
        object_id = change.observed.object_id if change.observed else None
        self.servers.put(replace(entry, removed=True, attempted=None, object_id=None))
        if object_id is not None:
            self.servers.archive(object_id)
        self.servers.retire_row(entry.row_id)

    patch.setattr(Runner, "remove", remove)


def open_intents_are_forgotten(patch: Patch) -> None:
    original = view.View.case

    def case(self: view.View, address: Address) -> view.Case:
        return replace(original(self, address), attempted=None)

    patch.setattr(view.View, "case", case)


MUTANTS = {
    "1: intent first": no_intent,
    "2: a twin is found by what was attempted": another_marker_each_time,
    "2: an open intent is remembered": open_intents_are_forgotten,
    "3: replace creates before it deletes": discards_first,
    "3: what was replaced is recorded": replaced_objects_are_not_remembered,
    "4: relink": no_relinking,
    "5: remove in reverse": removal_in_building_order,
    "5: by all witnesses": holders_by_the_record_only,
    "6: a reference to a replaced object is stale": references_to_replaced_objects_look_fresh,
    "7: the record goes last": the_record_goes_first,
}


@pytest.mark.parametrize("law", MUTANTS)
def test_without_the_law_a_history_fails(law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[law](monkeypatch)

    with pytest.raises((AssertionError, KeyError)):
        play_all()


def test_the_secrets_of_these_histories_differ() -> None:
    assert len({seal(name).fingerprint for name in SECRETS}) == len(SECRETS)
