"""What must hold for every history of commits, drift, refusals and crashes, with the real engine.

``HISTORIES=20000 pytest -n 2 tests/properties`` runs more of them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.plan.artifact import decode, encode
from reconciler.plan.change import Guard, Only, Plan
from reconciler.plan.guard import Policy
from reconciler.plan.planner import PlanOptions
from reconciler.spec.link import Resource
from tests.doubles.engine_rig import ANYTHING, EngineRig, mixed
from tests.doubles.fate import Blow, Fate, SkippingLoop, mortal
from tests.properties import engine_laws as laws
from tests.properties.engine_drift import DRIFTS, disturb
from tests.properties.engine_specs import HOMES, SHARED_NAME, SLOTS, TOP, Commit, Genes

HISTORIES = int(os.environ.get("HISTORIES", "150"))
SECRETS = ("sesame", "tulip", "walnut")  # each with the number of its rotation
BLOWS = tuple(Blow)
GUARDED = {Guard.PROTECTED, Guard.HELD, Guard.EMPTY}


@dataclass(frozen=True)
class Turn:
    """One commit and what happens while it is applied."""

    changes: tuple[tuple[int, int, int], ...]  # (organization, slot, gene)
    drift: tuple[tuple[int, int], ...]
    late: tuple[tuple[int, int], ...]  # drift between the plan and the apply
    blows: Mapping[int, Blow]
    manner: int  # prune, targets, only, secrets, order
    settles: bool


numbers = st.integers(0, TOP)
genes = st.tuples(*[numbers] * len(SLOTS))
changes = st.tuples(st.integers(0, 5), st.integers(0, len(SLOTS) - 1), numbers)
drifts = st.tuples(st.integers(0, len(DRIFTS) - 1), st.integers(0, 8))
blows = st.dictionaries(st.integers(0, 40), st.sampled_from(BLOWS), max_size=2)
turns = st.builds(
    Turn,
    changes=st.lists(changes, max_size=6).map(tuple),
    drift=st.lists(drifts, max_size=3).map(tuple),
    late=st.lists(drifts, max_size=1).map(tuple),
    blows=blows,
    manner=st.integers(0, 2**12 - 1),
    settles=st.booleans(),
)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        yield runner


@settings(
    max_examples=HISTORIES,
    report_multiple_bugs=False,
    deadline=None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.tuples(genes, genes), st.lists(turns, min_size=1, max_size=4))
def test_every_history_converges(
    loop: asyncio.Runner, first: tuple[Genes, Genes], history: list[Turn]
) -> None:
    loop.run(live(first, history))


async def live(first: tuple[Genes, Genes], history: list[Turn]) -> None:
    rig = inhabited()
    genes = dict(zip(HOMES, first, strict=True))
    untouched = laws.strangers(rig)
    for turn in history:
        genes = changed(genes, turn)
        for which, n in turn.drift:
            disturb(rig, DRIFTS[which], n)
            untouched = laws.strangers(rig)
        untouched = await play(rig, genes, turn)
        assert laws.strangers(rig) == untouched
        if turn.settles:
            await settle(rig, genes, prune=bool(turn.manner & 1))
            assert laws.strangers(rig) == untouched
    await settle(rig, genes, prune=True)
    assert laws.strangers(rig) == untouched


def inhabited() -> EngineRig:
    """Two servers with things on them that are not ours."""
    rig = EngineRig(environ=values(0))
    for type_ in ("httpHeaderAuth", "httpBasicAuth"):
        rig.fake.credentials.create({"name": SHARED_NAME, "type": type_, "data": {}})
    rig.fake.credentials.create({"name": "Kept", "type": "httpHeaderAuth", "data": {}})
    body = {"name": "acme a1", "nodes": [], "connections": {}, "settings": {}}
    rig.fake.workflows.create(body)
    rig.ledger.tables["organization"] = {
        "host-globex": {"id": "host-globex", "name": "The host's"},
        "stranger": {"id": "stranger", "name": "hands off"},
    }
    return rig


def values(rotation: int) -> dict[str, str]:
    return {f"S{n}": f"{word}-{rotation * n}-open" for n, word in enumerate(SECRETS, 1)}


def changed(before: Mapping[str, Genes], turn: Turn) -> dict[str, Genes]:
    after = {home: list(genes) for home, genes in before.items()}
    for home, slot, gene in turn.changes:
        after[HOMES[home // 5]][slot] = gene  # mostly the first one
    return {home: tuple(genes) for home, genes in after.items()}


def wanted(rig: EngineRig, genes: Mapping[str, Genes]) -> tuple[Resource, ...]:
    kept = next(c.id for c in rig.fake.state.credentials.values() if c.name == "Kept")
    return Commit(genes, kept).resources()


def options(turn: Turn, specs: tuple[Resource, ...]) -> PlanOptions:
    target = turn.manner >> 1 & 15
    chosen = frozenset({specs[target].address}) if target < len(specs) and target < 4 else None
    only = (Only.ALL, Only.ALL, Only.DRIFT, Only.INTENT)[turn.manner >> 5 & 3]
    return PlanOptions(prune=bool(turn.manner & 1), targets=chosen, only=only)


async def play(rig: EngineRig, genes: Mapping[str, Genes], turn: Turn) -> Any:
    """Apply one commit while things go wrong; give the strangers as people left them."""
    rig.environ = values(turn.manner >> 7 & 1)
    if turn.manner >> 8 & 7 == 7:
        del rig.environ["S1"]
    specs = wanted(rig, genes)
    homes = frozenset(HOMES)
    rig.begin()
    policy = ANYTHING if turn.manner & 1 else Policy()
    before = rig.ledger.writes, len(rig.fake.writes())
    plan, world = await rig.plan(specs, options(turn, specs), policy, homes)
    assert (rig.ledger.writes, len(rig.fake.writes())) == before, "a plan writes nothing"
    if turn.manner >> 9 & 7 == 1:  # writing plans takes longer than all the rest
        text = encode(plan)
        assert not any(word in text for word in SECRETS), "a plan tells a secret"
        plan = decode(text)
    for which, n in turn.late:
        if DRIFTS[which] != ("credential", "delete"):  # n8n then serves 500 until the next apply
            disturb(rig, DRIFTS[which], n)
    untouched = laws.strangers(rig)
    rig.begin(Fate(blows=turn.blows, order=mixed(turn.manner >> 2 & 3)))
    async with mortal():
        await rig.apply(plan, world, specs)
    return untouched


async def settle(rig: EngineRig, genes: Mapping[str, Genes], *, prune: bool) -> None:
    """Apply the commit undisturbed; then there must be nothing left to do."""
    rig.begin()
    rig.environ = values(1)
    specs = wanted(rig, genes)
    homes = frozenset(HOMES)
    manner = PlanOptions(prune=prune)
    plan, _ = await rig.plan(specs, manner, ANYTHING, homes)
    specs = corrected(specs, plan)
    for _ in range(2):
        plan, world = await rig.plan(specs, manner, ANYTHING, homes)
        report = await rig.apply(plan, world, specs)
    plan, world = await rig.plan(specs, manner, ANYTHING, homes)
    left = [c for c in plan.shown if c.guard not in GUARDED]
    held = {c.address for c in plan.shown}
    assert not left, (
        [(str(c.address), c.action, c.why, c.fields, c.blocked) for c in left],
        report,
    )
    before = rig.ledger.writes, len(rig.fake.writes())
    await rig.apply(plan, world, specs)
    assert (rig.ledger.writes, len(rig.fake.writes())) == before, "nothing to do is no write"
    laws.all_there(rig, world, specs)
    laws.nothing_unrecorded(rig)
    if prune:
        laws.nothing_left_over(rig, {r.address for r in specs} | held)


def corrected(specs: tuple[Resource, ...], plan: Plan) -> tuple[Resource, ...]:
    """The specs after a person was told which renames are not possible."""
    told = {c.address for c in plan.shown if "can't take this name" in (c.blocked or "")}
    return tuple(laws.unmoved(r) if r.address in told else r for r in specs)
