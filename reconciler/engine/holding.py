"""Plans of people heed the holds, too: what is held shows as blocked. Not here: turns of daemons."""

from __future__ import annotations

from reconciler.plan.change import Plan
from reconciler.plan.held import withhold
from reconciler.plan.restraint import Restraint
from reconciler.store.database import Database
from reconciler.store.holds import Holds


async def respect(plan: Plan, database: Database) -> Plan:
    """Block what open holds forbid; the revision of a rollback is what that hold allows."""
    holds = await Holds(database, new_id=str).open()
    counting = tuple(h for h in holds if h.pinned is None or h.pinned != plan.revision)
    return withhold(plan, Restraint(holds=counting).reason) if counting else plan
