"""What must hold for every history of commits, renames, drift, refusals and crashes."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.plan.change import Only, Plan
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.state import Desired
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, Ref, Sealed, Side, Value
from tests.doubles.plan_runner import Runner
from tests.doubles.plan_servers import (
    SECRETS,
    STRANGER,
    TRAITS,
    Crash,
    Row,
    Servers,
    Thing,
    seal,
)

HISTORIES = int(os.environ.get("HISTORIES", "300"))
ORGANIZATIONS = ("acme", "globex")
NAMES = ("a", "b", "c")
Specs = dict[Address, Desired]


@dataclass(frozen=True, repr=False)
class Turn:
    """One commit and what happens while it is applied."""

    specs: Specs
    prune: bool
    drift: tuple[tuple[str, int], ...]
    crash: tuple[int, bool] | None
    refused: frozenset[int]
    targets: frozenset[Address] | None
    only: Only
    seed: int
    locked: bool  # secrets are not available here
    settle: bool  # the apply is repeated undisturbed before the next commit

    def __repr__(self) -> str:
        """Tell the story in few words: what falsifies a law has to be read by somebody."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "specs"}
        wanted = {
            f"{a} (was {d.moved_from.name})" if d.moved_from else str(a): d.payload
            for a, d in self.specs.items()
            if a.kind != "Organization"
        }
        return f"{told}\n  {wanted}\n"


def organization(name: str) -> Desired:
    address = Address(name, "Organization", name)
    return Desired(address=address, payload={"row": {"title": name, "active": True}})


@st.composite
def specs(draw: st.DrawFn) -> Specs:
    found: Specs = {}
    for name in ORGANIZATIONS[: draw(st.sampled_from([1, 1, 2]))]:
        owner = organization(name)
        found[owner.address] = owner
        found |= draw(members(name))
    return found


@st.composite
def members(draw: st.DrawFn, org: str) -> Specs:
    owner: Value = Ref(Address(org, "Organization", org), Side.ROW)
    found: Specs = {}

    def add(kind: str, name: str, payload: Payload) -> None:
        address = Address(org, kind, name)
        old = draw(st.sampled_from((None, None, *NAMES)))
        moved = Address(org, kind, old) if old and old != name else None
        protected = draw(st.sampled_from([False, False, False, True]))
        found[address] = Desired(
            address=address, payload=payload, moved_from=moved, protected=protected
        )

    for name in sorted(draw(st.sets(st.sampled_from(NAMES)))):
        secret = seal(draw(st.sampled_from(sorted(SECRETS))))
        n8n: Payload = {"type": draw(st.sampled_from(["slack", "smtp"])), "data": {"token": secret}}
        add("Credential", name, {"row": {"org": owner, "title": "t", "active": True}, "n8n": n8n})
    credentials = [a for a in found if a.kind == "Credential"]
    for n, name in enumerate(sorted(draw(st.sets(st.sampled_from(NAMES))))):
        nodes: Payload = {"start": {"text": draw(st.sampled_from(["x", "y"]))}}
        for credential in draw(st.sets(st.sampled_from(credentials))) if credentials else ():
            nodes[f"use {credential.name}"] = {"credential": Ref(credential)}
        if n and draw(st.booleans()):
            callee = next(a for a in found if a.kind == "Automation")
            nodes["call"] = {"workflow": Ref(callee)}
        live = draw(st.sampled_from(["draft", "none"]))
        settings_: Payload = {"zone": draw(st.sampled_from(["Berlin", "Rome"]))}
        side: Payload = {"nodes": nodes, "live": live, "archived": False, "settings": settings_}
        row: Payload = {"org": owner, "self": Ref(Address(org, "Automation", name), Side.ROW)}
        add("Automation", name, {"row": {**row, "active": True}, "n8n": side})
    automations = [a for a in found if a.kind == "Automation"]
    for name in sorted(draw(st.sets(st.sampled_from(NAMES)))) if automations else ():
        of = Ref(draw(st.sampled_from(automations)), Side.ROW)
        cron = draw(st.sampled_from(["0 9 * * *", "5 4 * * *"]))
        add("Trigger", name, {"row": {"automation": of, "cron": cron, "active": True}})
    return found


DRIFTS = (
    "row", "no row", "no object", "archive", "unpublish", "live", "node", "no node", "meta", "link"
)  # fmt: skip
drifts = st.lists(st.tuples(st.sampled_from(DRIFTS), st.integers(0, 8)), max_size=3).map(tuple)


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    wanted = draw(specs())
    target = draw(st.sampled_from([None, None, None, *sorted(wanted)]))
    return Turn(
        specs=wanted,
        prune=draw(st.booleans()),
        drift=draw(drifts),
        crash=draw(st.none() | st.tuples(st.integers(1, 30), st.booleans())),
        refused=draw(st.frozensets(st.integers(0, 12), max_size=1)),
        targets=None if target is None else frozenset({target}),
        only=draw(st.sampled_from([Only.ALL, Only.ALL, Only.ALL, Only.DRIFT, Only.INTENT])),
        seed=draw(st.integers(0, 3)),
        locked=draw(st.sampled_from([False, False, False, True])),
        settle=draw(st.booleans()),
    )


def disturb(servers: Servers, drift: tuple[tuple[str, int], ...]) -> None:
    """Do by hand what people do: in PostgreSQL's rows and in n8n's editor."""
    for what, n in drift:
        if what in {"row", "no row"}:
            ids = sorted(i for i, row in servers.rows.items() if row.kind != STRANGER)
            if ids and what == "row":
                servers.rows[ids[n % len(ids)]].data["title"] = "by hand"
                servers.rows[ids[n % len(ids)]].data["active"] = False
            elif ids:
                delete_row(servers, ids[n % len(ids)])
            continue
        ours = sorted(i for i, thing in servers.things.items() if thing.marker != STRANGER)
        if not ours:
            continue
        id_ = ours[n % len(ours)]
        thing = servers.things[id_]
        thing.version += 1
        if what == "no object":
            del servers.things[id_]
        elif thing.kind == "Automation":
            edit(thing.data, what)


def edit(data: dict[str, Any], what: str) -> None:
    match what:
        case "archive":
            data |= {"archived": True, "live": "none"}
        case "unpublish":
            data["live"] = "none"
        case "live":
            data["live"] = "other"
        case "node":
            data["nodes"]["by hand"] = {"text": "z"}
        case "no node":
            data["nodes"].pop("start", None)
        case "meta":
            data["settings"]["theirs"] = True
        case _:
            for node in data["nodes"].values():
                if "credential" in node:
                    node["credential"] = "obj-stranger"


def delete_row(servers: Servers, row_id: str) -> None:
    """PostgreSQL deletes what refers to the row, too."""
    servers.rows.pop(row_id, None)
    for other, row in list(servers.rows.items()):
        if row_id in row.data.values() and other in servers.rows:
            delete_row(servers, other)


def with_strangers() -> Servers:
    servers = Servers()
    nodes = {"mine": {"text": "hands off"}}
    servers.things["obj-stranger"] = Thing("Credential", STRANGER, {"type": "slack"})
    servers.things["obj-foreign"] = Thing("Automation", STRANGER, {"nodes": nodes, "live": "draft"})
    servers.rows["row-stranger"] = Row(STRANGER, {"title": "hands off"})
    return servers


def strangers(servers: Servers) -> Any:
    return (
        {i: t for i, t in servers.things.items() if t.marker == STRANGER},
        {i: r for i, r in servers.rows.items() if r.kind == STRANGER},
    )


def sealed_away(wanted: Specs) -> Specs:
    """The same specs on a machine that has none of the secrets."""

    def hide(value: Value) -> Value:
        match value:
            case Sealed(name):
                return Sealed(name, None)
            case dict():
                return {key: hide(item) for key, item in value.items()}
            case _:
                return value

    return {
        a: replace(d, payload={side: hide(v) for side, v in d.payload.items()})
        for a, d in wanted.items()
    }


def plan_for(servers: Servers, wanted: Specs, options: PlanOptions) -> Plan:
    world = servers.observe(wanted, frozenset(ORGANIZATIONS))
    plan = make_plan(world, TRAITS, options)
    assert not any(secret in repr(plan) for secret in SECRETS.values())
    return plan


def play(servers: Servers, turn: Turn) -> None:
    """Apply one commit while things go wrong."""
    disturb(servers, turn.drift)
    wanted = sealed_away(turn.specs) if turn.locked else turn.specs
    options = PlanOptions(prune=turn.prune, targets=turn.targets, only=turn.only)
    plan = plan_for(servers, wanted, options)
    addresses = [c.address for c in plan.shown]
    refused = frozenset(addresses[n] for n in turn.refused if n < len(addresses))
    if turn.crash:
        servers.crash_in, servers.crash_after = turn.crash
    with contextlib.suppress(Crash):
        Runner(servers, random.Random(turn.seed), refused).apply(plan)
    servers.crash_in = None


def settle(servers: Servers, turn: Turn) -> None:
    """Apply the commit undisturbed; then there must be nothing left to do."""
    options = PlanOptions(prune=turn.prune)
    wanted = movable(servers, turn.specs)
    Runner(servers, random.Random(turn.seed)).apply(plan_for(servers, wanted, options))
    again = plan_for(servers, wanted, options)
    assert again.waves == (), [(str(c.address), c.action, c.why, c.fields) for c in again.changes]
    servers_match(servers, turn.specs)
    nothing_unrecorded(servers)
    if turn.prune:
        nothing_left_over(servers, turn.specs)


def movable(servers: Servers, wanted: Specs) -> Specs:
    """The specs after a person was told which new names can't be had, or not at once."""
    plan = plan_for(servers, wanted, PlanOptions())
    taken = {c.address for c in plan.changes if "take this name" in (c.blocked or "")}
    return {a: replace(d, moved_from=None) if a in taken else d for a, d in wanted.items()}


def servers_match(servers: Servers, wanted: Mapping[Address, Desired]) -> None:
    for address, desired in wanted.items():
        entry = servers.inventory[address]
        row = servers.rows[entry.row_id].data
        assert servers.wired(desired.payload, "row").items() <= row.items()
        if "n8n" in desired.payload:
            body = servers.wired(desired.payload, "n8n")
            thing = servers.things[entry.object_id or ""].data
            settings_ = body.pop("settings", {})
            assert settings_.items() <= thing.get("settings", {}).items()
            assert body.items() <= thing.items()


def nothing_unrecorded(servers: Servers) -> None:
    known = {i for r in servers.inventory.values() for i in (*r.deposed, r.object_id or "")}
    open_intents = {r.row_id for r in servers.inventory.values() if r.attempted is not None}
    strange = {STRANGER, *open_intents}  # what an open intent left behind is found by its marker
    ours = {i for i, thing in servers.things.items() if thing.marker not in strange}
    assert ours <= known, "an object that no record knows"
    rows = {i for i, row in servers.rows.items() if row.kind != STRANGER}
    assert rows <= {r.row_id for r in servers.inventory.values()}


def nothing_left_over(servers: Servers, wanted: Specs) -> None:
    live = [
        t for t in servers.things.values() if t.marker != STRANGER and not t.data.get("archived")
    ]
    assert len(live) == sum("n8n" in d.payload for d in wanted.values()), "duplicates or leftovers"
    assert {a for a, r in servers.inventory.items() if not r.removed} == set(wanted)
    assert all(not r.deposed for r in servers.inventory.values())


@settings(
    max_examples=HISTORIES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(turns(), min_size=1, max_size=5))
def test_every_history_converges(history: list[Turn]) -> None:
    servers = with_strangers()
    before = repr(strangers(servers))
    last = replace(history[-1], prune=True, drift=(), crash=None, refused=frozenset())
    for turn in history:
        play(servers, turn)
        if turn.settle:
            settle(servers, turn)
    settle(servers, last)

    assert repr(strangers(servers)) == before
