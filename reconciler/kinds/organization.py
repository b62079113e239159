"""Organization: a tenant, and who may do what in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from reconciler.access import Role
from reconciler.diagnostics import Problem
from reconciler.spec.model import Email, Lifecycle, Part, Spec, Text, Title


class Member(Part):
    """A person of the organization."""

    email: Email = Field(
        description="E-mail address, the person's name everywhere", examples=["ops@acme.example"]
    )
    role: Role = Field(
        description="ADMIN: everything; OPERATOR: create, view, run; CLIENT: view only"
    )


class OrganizationSpec(Spec):
    """A tenant: everything else belongs to exactly one organization."""

    meaning: ClassVar[str] = "A tenant and its members"

    title: Title = Field(description="Name that people read", examples=["Acme GmbH"])
    id: Annotated[Text, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Id of the row in the host application's table, where it exists already",
    )
    members: tuple[Member, ...] = Field(default=(), description="Who belongs to it, in which role")
    lifecycle: Lifecycle = Field(default=Lifecycle(), description="How it may end")

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that each person is listed once."""
        seen: set[str] = set()
        members = given.get("members")
        for index, member in enumerate(members if isinstance(members, list) else ()):
            email = member.get("email") if isinstance(member, Mapping) else None
            if isinstance(email, str) and email.lower() in seen:
                message = f'"{email}" is listed twice'
                yield Problem("SPE118", message, ("members", index, "email"))
            elif isinstance(email, str):
                seen.add(email.lower())

    def is_protected(self) -> bool:
        """Whether this organization may not be removed."""
        return self.lifecycle.protected
