"""Reads what `why` explains. Not here: the explanation (`reconciler.engine.why`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.app import new_id, open_session
from reconciler.app.desk import Desk
from reconciler.app.standing import look
from reconciler.engine.why import Circumstances, Said, why_execution, why_resource
from reconciler.errors import ReconcilerError, UsageError
from reconciler.resource.address import Address
from reconciler.settings import Settings
from reconciler.store.background import Background
from reconciler.store.executions import Execution
from reconciler.store.holds import Holds

_WAYS: Final = (
    "give an address such as acme/Automation/intake, an automation such as intake, or an id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What can be said about an execution or a resource."""

    said: list[Said]
    execution: Execution | None = None
    address: Address | None = None
    link: str | None = None


async def explain(desk: Desk, settings: Settings, subject: str) -> Answer:
    """Explain an address, the name of an automation or an execution's id; raises UsageError.

    An automation may be named with its organization, too, as for `run`.
    """
    if subject.count("/") > 1:
        try:
            address = Address.parse(subject)
        except ValueError as error:
            raise UsageError(str(error), hint=_WAYS) from None
        return await _resource(desk, settings, address)
    found = await desk.executions.get(None, subject)
    if found is not None:
        return await _execution(desk, settings, found)
    automations = await desk.directory.automations(subject)
    if len(automations) == 1 and automations[0].organization is not None:
        one = automations[0]
        assert one.organization is not None
        address = Address(one.organization, "Automation", one.name or "")
        return await _resource(desk, settings, address)
    found = await desk.begun_with(subject)
    if found is not None:
        return await _execution(desk, settings, found)
    message = f'"{subject}" is neither an execution nor the name of one automation'
    raise UsageError(message, hint=_WAYS)


async def _resource(desk: Desk, settings: Settings, address: Address) -> Answer:
    background = Background(desk.database)
    known = await background.known(address)
    runtime = None
    if known is not None and address.kind == "Automation" and known.removed_at is None:
        runtime = await background.runtime(known.row_id)
    holds = await Holds(desk.database, new_id=new_id).open()
    steps = await background.steps(address)
    if known is None and not steps:
        return await _declared(settings, address)
    return Answer(said=why_resource(known, address, holds, steps, runtime), address=address)


async def _declared(settings: Settings, address: Address) -> Answer:
    """Explain what no apply has begun to make, as `status` does; raises UsageError."""
    try:
        async with open_session(settings) as session:
            status = await look(session)
        found, trouble = status.standings, status.trouble
    except ReconcilerError as error:
        found, trouble = (), str(error)
    for standing in found:
        if standing.address == address:
            text = f"the specs ask for it and it is not there: {standing.reason}"
            return Answer(said=[Said("because", text)], address=address)
    message = f"nothing is known of {address}"
    if trouble is not None:
        message += f", and what the specs ask for can't be told: {trouble}"
    raise UsageError(message, hint="`reconciler status` lists what is declared and recorded")


async def _execution(desk: Desk, settings: Settings, found: Execution) -> Answer:
    background = Background(desk.database)
    automation_id = found.summary.automation_id
    around = Circumstances(
        now=await background.now(),
        runtime=await background.runtime(automation_id, found.summary.id),
        address=await background.address(automation_id),
        holds=await Holds(desk.database, new_id=new_id).open(),
    )
    return Answer(
        said=why_execution(found, around),
        execution=found,
        link=await desk.link(settings, found),
    )
