"""The table of roles and actions."""

from __future__ import annotations

import pytest

from reconciler.access import ALLOWED, Action, Principal, Role, lower
from reconciler.errors import GuardRefused


def principal(role: Role, *scopes: Action) -> Principal:
    return Principal(name="somebody", role=role, organization_id="o", scopes=frozenset(scopes))


def test_an_admin_may_everything_an_operator_more_than_a_client() -> None:
    assert ALLOWED[Role.ADMIN] == frozenset(Action)
    assert ALLOWED[Role.CLIENT] < ALLOWED[Role.OPERATOR] < ALLOWED[Role.ADMIN]


def test_a_client_changes_nothing_and_sees_no_data() -> None:
    assert {action.value.partition(":")[2] for action in ALLOWED[Role.CLIENT]} == {"view"}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("action", list(Action))
def test_a_scope_narrows_a_role_and_never_widens_it(role: Role, action: Action) -> None:
    assert principal(role, action).may(action) is principal(role).may(action)
    other = next(one for one in Action if one is not action)
    assert not principal(role, other).may(action)


def test_what_is_not_allowed_is_refused_with_the_name_of_the_action() -> None:
    with pytest.raises(GuardRefused, match="events:send is not allowed to somebody"):
        principal(Role.CLIENT).require(Action.EVENTS_SEND)
    principal(Role.OPERATOR).require(Action.EVENTS_SEND)


def test_the_lower_of_two_roles() -> None:
    assert lower(Role.ADMIN, Role.CLIENT) is lower(Role.CLIENT, Role.OPERATOR) is Role.CLIENT
