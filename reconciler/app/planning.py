"""From a spec folder to a plan, doing only what must be done: reading, listing and parsing overlap.

Not here: what a plan says (`reconciler.plan`), nor carrying it out (`Session.carry_out`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from reconciler.app import TRAITS, Planned, Session, taken_by_others
from reconciler.app.renames import under_names
from reconciler.app.specs import Specs, digest_of, keeps_memos, write_memo
from reconciler.engine.compile import Compiled
from reconciler.engine.holding import respect
from reconciler.engine.memo import Asked, Origin, remember
from reconciler.engine.observe import Reading
from reconciler.engine.safe import secret_references_of
from reconciler.errors import StalePlan
from reconciler.plan.change import Plan
from reconciler.plan.freshness import beyond, stale, with_blocked
from reconciler.plan.guard import Policy
from reconciler.plan.planner import PlanOptions
from reconciler.store.entries import digest
from reconciler.store.inventory import Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller wants planned; *organizations* empty: all."""

    options: PlanOptions
    allow_remove: int | None = None
    organizations: frozenset[str] = frozenset()

    def policy(self, specs: Specs) -> Policy:
        """Say what may be removed; a spec folder with nothing in it removes nothing."""
        empty = "no document was found" if specs.is_empty else None
        return Policy(allow_remove=self.allow_remove, unreadable=empty)


async def plan_folder(
    session: Session, reading_specs: Awaitable[Specs], wish: Wish, check: Callable[[Specs], None]
) -> Planned:
    """Observe while the specs are read, compile what changed, and plan; writes nothing.

    *check* raises for specs that are not valid; that comes first, whatever else went wrong.
    """
    observing = asyncio.ensure_future(session.observe())
    try:
        specs = await reading_specs
        check(specs)
        reading = await observing
    finally:
        observing.cancel()
        await asyncio.wait([observing])
        if not observing.cancelled():
            observing.exception()  # looked at: whatever was raised first is what is told
    await session.safe.open_known(reading.recorded)
    compiled = await _recall(session, specs, reading)
    if compiled is None:
        compiled = await _compile(session, specs, reading)
    revision = wish.options.revision
    compiled, way = await under_names(session.database, compiled, reading, revision)
    policy = wish.policy(specs)
    planned = session.weigh(reading, compiled, wish.options, policy, wish.organizations)
    return replace(planned, plan=await respect(planned.plan, session.database), way=way)


def keep_to(kept: Plan, planned: Planned, *, agreed: bool) -> Planned:
    """Let a plan that was *kept* take the place of what one would do now, which is in *planned*.

    *agreed*: somebody said yes to it as to all there is to do. Else it comes from a file, and is
    carried out as it says, whatever there is to do besides. Raises StalePlan when the world moved on.
    """
    fresh = planned.plan
    moved = beyond(kept, fresh) if agreed else {}
    moved |= stale(kept, planned.world, TRAITS)
    if moved:
        reasons = "; ".join(f"{address}: {why}" for address, why in sorted(moved.items()))
        message = f"the world moved on after the plan was made: {reasons}"
        raise StalePlan(message, hint="make a new plan")
    # Its specs were compared with those of now, and so was everything that it does not change.
    revision = fresh.revision
    if revision is None or kept.revision == f"{revision}+":
        revision = kept.revision  # nobody can tell here, or it was made with files of no commit
    plan = replace(kept, revision=revision)
    return replace(planned, plan=with_blocked(plan, fresh) if agreed else plan, due=fresh)


async def _recall(session: Session, specs: Specs, reading: Reading) -> Compiled | None:
    memo = specs.memo
    if memo is None:
        return None
    await session.safe.read_all(session.sources(), memo.references)
    digests = await Inventory(session.database, new_id=str).digests()
    return memo.compiled(reading.recorded, digests, session.safe.facts(), taken_by_others(reading))


async def _compile(session: Session, specs: Specs, reading: Reading) -> Compiled:
    loaded = specs.loaded()
    await session.safe.read(session.sources(), loaded.resources)
    asked, taken = Asked(session.safe.facts()), taken_by_others(reading)
    compiled = session.build(loaded, asked.noted(), taken)
    if compiled.ok and keeps_memos(session.settings):
        origin = Origin(
            inputs=digest_of(session.settings, specs.tree, loaded.workflows),
            wanted=tuple(loaded.workflows),
            references=tuple(secret_references_of(loaded.resources)),
            answers=asked.answers,
            taken=taken,
        )
        write_memo(session.settings, remember(origin, compiled, digest))
    return compiled
