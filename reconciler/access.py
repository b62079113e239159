"""Who may do what: one table of roles and actions, used by the API and the command line.

What is not in the table is denied. Not here: finding out who somebody is (`reconciler.web.auth`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from reconciler.errors import GuardRefused


class Role(enum.StrEnum):
    """What a member or a token may do, from most to least."""

    ADMIN = "ADMIN"
    OPERATOR = "OPERATOR"
    CLIENT = "CLIENT"


class Action(enum.StrEnum):
    """Something that can be allowed or denied; also the words of a token's scopes."""

    EXECUTIONS_VIEW = "executions:view"
    EXECUTIONS_DATA = "executions:data"  # what went in and came out, error texts
    EXECUTIONS_CANCEL = "executions:cancel"
    EXECUTIONS_RETRY = "executions:retry"
    AUTOMATIONS_RUN = "automations:run"
    EVENTS_VIEW = "events:view"
    EVENTS_SEND = "events:send"
    TOKENS_MANAGE = "tokens:manage"


_CLIENT: Final = frozenset({Action.EXECUTIONS_VIEW, Action.EVENTS_VIEW})
_OPERATOR: Final = _CLIENT | {
    Action.EXECUTIONS_DATA,
    Action.EXECUTIONS_CANCEL,
    Action.EXECUTIONS_RETRY,
    Action.AUTOMATIONS_RUN,
    Action.EVENTS_SEND,
}
ALLOWED: Final[Mapping[Role, frozenset[Action]]] = MappingProxyType(
    {Role.ADMIN: frozenset(Action), Role.OPERATOR: _OPERATOR, Role.CLIENT: _CLIENT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody whose identity is known; *organization_id* None: not bound to one."""

    name: str  # for records: "token ci (k3j…)", "root@host"
    role: Role
    organization_id: str | None
    scopes: frozenset[Action] = frozenset()  # narrows the role; empty: all of it

    def may(self, action: Action) -> bool:
        """Whether *action* is allowed."""
        return action in ALLOWED[self.role] and (not self.scopes or action in self.scopes)

    def require(self, action: Action) -> None:
        """Raise GuardRefused unless *action* is allowed."""
        if not self.may(action):
            message = f"{action} is not allowed to {self.name} ({self.role})"
            raise GuardRefused(message, hint="ask for a token with another role or scope")


def lower(one: Role, other: Role) -> Role:
    """Give the role that may do less."""
    order = list(Role)
    return max(one, other, key=order.index)
