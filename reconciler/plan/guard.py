"""Guards turn removals into blocked items, which are shown and not done.

What is protected is remembered in the record, so that taking a protected
document out of the specs does not take the protection with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from reconciler.plan.change import Action, Change, Guard, Key, Plan
from reconciler.plan.removal import hold
from reconciler.plan.state import World
from reconciler.plan.view import View
from reconciler.resource.address import Address

_ENDS = frozenset({Action.REMOVE, Action.FORGET})
_Verdicts: TypeAlias = "Iterator[tuple[Address, Guard, str]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much may be removed at once."""

    allow_remove: int | None = None  # somebody asked for up to so many removals
    max_removals: int = 10  # in one plan: a list that a person still reads
    max_share: float = 0.2  # of what is recorded for one organization
    unreadable: str | None = None  # why the spec root could not be read, if so
    distrusted: str | None = None  # why the specs must not be taken at their word yet, if so


def guard(plan: Plan, world: World, policy: Policy | None = None) -> Plan:
    """Return *plan* with the removals blocked that *policy* does not allow."""
    policy = policy or Policy()
    removals = [c for c in plan.changes if c.action in _ENDS and c.blocked is None]
    blocked: dict[Key, Change | None] = {}
    for judge in (_unreadable, _protected, _empty, _budget):
        left = [c for c in removals if c.key not in blocked]
        verdicts = {address: (which, note) for address, which, note in judge(left, world, policy)}
        for change in left:
            if change.address in verdicts:
                which, note = verdicts[change.address]
                blocked[change.key] = replace(change, guard=which, blocked=note)
    if not blocked:
        return plan
    staying = {address for address, _, _ in blocked}
    others = [c for c in plan.changes if c.key not in blocked]
    outcome = {**blocked, **hold(View(world, {}), others, staying)}
    waves = (tuple(new for c in wave if (new := outcome.get(c.key, c))) for wave in plan.waves)
    return replace(plan, waves=tuple(wave for wave in waves if wave))


def _unreadable(removals: Sequence[Change], _: World, policy: Policy) -> _Verdicts:
    if policy.unreadable is not None:
        for change in removals:
            note = f"the specs could not be read ({policy.unreadable}), so nothing is removed"
            yield change.address, Guard.UNREADABLE, note
    elif policy.distrusted is not None:
        for change in removals:
            yield change.address, Guard.UNREADABLE, f"{policy.distrusted}, so nothing is removed"


def _protected(removals: Sequence[Change], _world: World, _policy: Policy) -> _Verdicts:
    for change in removals:
        if change.recorded is not None and change.recorded.protected:
            note = "protected: declare it again with `protected: false`, apply, and then remove it"
            yield change.address, Guard.PROTECTED, note


def _empty(removals: Sequence[Change], world: World, policy: Policy) -> _Verdicts:
    declared = {address.organization for address in world.desired}
    for change in removals:
        organization = change.address.organization
        if not declared:
            note = "no specs were found at all, so nothing is removed"
        elif organization not in declared and policy.allow_remove is None:
            note = f"no specs were found for {organization}; allow it with {_flag(removals)}"
        else:
            continue
        yield change.address, Guard.EMPTY, note


def _budget(removals: Sequence[Change], world: World, policy: Policy) -> _Verdicts:
    count = len(removals)
    if policy.allow_remove is not None:
        if count > policy.allow_remove:
            note = f"{count} removals are more than the {policy.allow_remove} that were allowed"
            yield from ((c.address, Guard.BUDGET, note) for c in removals)
        return
    if count > policy.max_removals:
        note = f"{count} removals at once; allow them with {_flag(removals)}"
        yield from ((c.address, Guard.BUDGET, note) for c in removals)
        return
    kept = Counter(a.organization for a, r in world.recorded.items() if not r.removed)
    going = Counter(c.address.organization for c in removals)
    for change in removals:
        organization = change.address.organization
        there, gone = kept[organization], going[organization]
        if gone > policy.max_share * there:
            note = f"{gone} of the {there} resources of {organization}; allow it with {_flag(removals)}"
            yield change.address, Guard.BUDGET, note


def _flag(removals: Sequence[Change]) -> str:
    return f"`--allow-remove {len(removals)}`"
