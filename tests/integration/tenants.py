"""Rows of a small world for tests of the runtime: organizations, automations, triggers.

Written with plain SQL, as the host application or a hand would; each name is also the row's id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

NOW = "date_trunc('milliseconds', clock_timestamp() AT TIME ZONE 'UTC')"


class Tenants:
    """Makes organizations with automations and triggers."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Execute a statement by hand."""
        cursor = self._connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *values: Any) -> Any:
        """Ask for one value."""
        [[value]] = self.sql(statement, *values)
        return value

    def organization(self, name: str) -> str:
        """Make an organization with an administrator."""
        person = f"admin@{name}"
        self.sql(
            f'INSERT INTO organization (id, name, "updatedAt") VALUES (%s, %s, {NOW})', name, name
        )
        self.sql(
            f'INSERT INTO users (id, email, "updatedAt") VALUES (%s, %s, {NOW})', person, person
        )
        self.member(name, person, "ADMIN")
        self._resource(name, "Organization", name, name)
        return name

    def member(self, organization: str, person: str, role: str) -> None:
        """Make somebody a member."""
        self.sql(
            f'INSERT INTO users (id, email, "updatedAt") VALUES (%s, %s, {NOW}) '
            "ON CONFLICT DO NOTHING",
            person,
            person,
        )
        self.sql(
            "INSERT INTO reconciler.memberships VALUES (%s, %s, %s) "
            "ON CONFLICT (organization_id, user_id) DO UPDATE SET role = excluded.role",
            organization,
            person,
            role,
        )

    def automation(self, organization: str, name: str, *, active: bool = True) -> str:
        """Make an automation; its id is ``<organization>-<name>``."""
        id_ = f"{organization}-{name}"
        self.sql(
            'INSERT INTO automations (id, name, "triggerType", "triggerConfig", "isActive", "orgId",'
            f" \"createdById\", \"updatedAt\") VALUES (%s, %s, 'EVENT', '{{}}', %s, %s, %s, {NOW})",
            id_,
            name.title(),
            active,
            organization,
            f"admin@{organization}",
        )
        self._resource(organization, "Automation", name, id_)
        return id_

    def trigger(self, automation: str, name: str, **columns: Any) -> str:
        """Make a trigger; columns as in the table, by default DOCUMENT_UPLOADED without filters."""
        id_ = f"{automation}-{name}"
        organization = automation.partition("-")[0]
        values = {
            "id": id_,
            "automationId": automation,
            "orgId": organization,
            "name": name,
            "triggerType": "DOCUMENT_UPLOADED",
            "triggerEvent": "document.uploaded",
            "isActive": True,
            **columns,
        }
        values["eventFilters"] = json.dumps(values.pop("filters", None))
        names = ", ".join(f'"{column}"' for column in values)
        places = ", ".join("%s" for _ in values)
        self.sql(
            f'INSERT INTO workflow_triggers ({names}, "updatedAt") VALUES ({places}, {NOW})',
            *values.values(),
        )
        self.sql(
            'UPDATE workflow_triggers SET "eventFilters" = NULL WHERE "eventFilters" = \'null\''
        )
        return id_

    def executions(self) -> list[tuple[str, Any]]:
        """List trigger and data of all executions."""
        return self.sql(
            'SELECT "triggerId", "triggerData" FROM workflow_executions ORDER BY "triggerId", id'
        )

    def _resource(self, organization: str, kind: str, name: str, row_id: str) -> None:
        self.sql(
            "INSERT INTO reconciler.resources (organization, kind, name, row_id, payload) "
            "VALUES (%s, %s, %s, %s, '{}')",
            organization,
            kind,
            name,
            row_id,
        )


@contextmanager
def tenants_of(url: str) -> Iterator[Tenants]:
    """Open a connection by hand to the database at *url*."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield Tenants(connection)
