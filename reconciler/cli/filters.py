"""The options that choose executions, and what they lead to."""

from __future__ import annotations

from typing import Any

import click

from reconciler.store.executions import Filters
from reconciler.trigger.execution import Cause, Status


def filter_options(command: Any) -> Any:
    """Add --automation, --organization, --status and --cause."""
    statuses = click.Choice([status.value for status in Status], case_sensitive=False)
    causes = click.Choice([cause.value for cause in Cause])
    for option in (
        click.option("--cause", "causes", multiple=True, type=causes, help="What started it."),
        click.option("--status", "statuses", multiple=True, type=statuses, help="Where it is."),
        click.option("--organization", metavar="NAME", help="Only of this organization."),
        click.option("--automation", metavar="NAME", help="Only of this automation."),
    ):
        command = option(command)
    return command


async def filters_from(desk: Any, given: dict[str, Any]) -> Filters:
    """Look up what the options name; raises UsageError."""
    automation, organization = given["automation"], given["organization"]
    return Filters(
        organization_id=None
        if organization is None
        else (await desk.organization(organization)).id,
        automation_id=None if automation is None else (await desk.automation(automation)).id,
        statuses=[Status(word) for word in given["statuses"]] or None,
        causes=[Cause(word) for word in given["causes"]] or None,
        since=given.get("since"),
        until=given.get("until"),
    )
