"""Which tables the kinds may read and write by id, and what is special about each.

Not here: the columns themselves, they are whatever the caller names and the
database knows; a test holds the lists of JSON columns against the tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How to reach the rows of one table; *people* maps an e-mail column to a user id column."""

    schema: str = "public"
    key: str = "id"
    created: str | None = "createdAt"
    updated: str | None = "updatedAt"
    json: frozenset[str] = frozenset()
    people: dict[str, str] = field(default_factory=dict)
    host: bool = False  # belongs to the host application: its columns are looked up


ORGANIZATION: Final = "organization"
USERS: Final = "users"
MEMBERSHIPS: Final = "memberships"

SHAPES: Final = MappingProxyType(
    {
        ORGANIZATION: Shape(host=True),
        USERS: Shape(host=True),
        "automations": Shape(
            json=frozenset({"triggerConfig", "metadata"}), people={"createdBy": "createdById"}
        ),
        "workflow_executions": Shape(json=frozenset({"triggerData", "outputData", "metadata"})),
        "workflow_triggers": Shape(json=frozenset({"eventFilters", "auth"})),
        "automation_templates": Shape(),
        "integration_credentials": Shape(people={"user": "userId"}),
        "automation_runtime": Shape(
            schema="reconciler", key="automation_id", created=None, updated="updated_at"
        ),
    }
)
