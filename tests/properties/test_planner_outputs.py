"""What must hold for everything that is shown or kept of a plan, whatever happened before."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.plan.artifact import decode, digest_of, encode
from reconciler.plan.freshness import stale
from reconciler.plan.guard import guard
from reconciler.plan.markdown import LIMIT, markdown
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.render import render
from reconciler.plan.state import World
from reconciler.resource.address import Address
from tests.doubles.plan_servers import SECRETS, TRAITS
from tests.properties.test_planner_histories import (
    HISTORIES,
    ORGANIZATIONS,
    Turn,
    disturb,
    play,
    turns,
    with_strangers,
)

T = TypeVar("T")


def world_after(history: list[Turn]) -> World:
    """The world as it is when the last commit of *history* arrives."""
    servers = with_strangers()
    for turn in history[:-1]:
        play(servers, turn)
    disturb(servers, history[-1].drift)
    return servers.observe(history[-1].specs, frozenset(ORGANIZATIONS))


def shuffled(world: World, seed: int) -> World:
    """The same world, read in another order."""
    order = random.Random(seed)

    def mixed(state: Mapping[Address, T]) -> dict[Address, T]:
        return dict(order.sample(list(state.items()), len(state)))

    return replace(
        world,
        desired=mixed(world.desired),
        recorded=mixed(world.recorded),
        observed=mixed(world.observed),
    )


@settings(
    max_examples=max(100, HISTORIES // 5),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(turns(), min_size=1, max_size=3), st.integers(0, 9))
def test_every_plan_can_be_kept_shown_and_compared(history: list[Turn], seed: int) -> None:
    world, last = world_after(history), history[-1]
    options = PlanOptions(prune=last.prune, targets=last.targets, only=last.only)
    plan = guard(make_plan(world, TRAITS, options), world)
    other = shuffled(world, seed)

    kept, text, comment = encode(plan), render(plan), markdown(plan)

    assert decode(kept) == plan
    assert digest_of(guard(make_plan(other, TRAITS, options), other)) == digest_of(plan)
    assert stale(decode(kept), other, TRAITS) == {}
    assert all(len(line) <= 80 and line.isprintable() for line in text.split("\n"))
    assert text.rsplit("\n", 1)[-1].startswith("No changes." if plan.is_empty else "Plan: ")
    assert len(comment) <= LIMIT
    assert digest_of(plan) in comment
    assert not any(secret in kept + text + comment for secret in SECRETS.values())
