"""Who calls: an API token in the Authorization header, and what it allows.

All that can be wrong with a token gets the same answer. A token in a query string is not looked at.
Not here: the table of roles and actions (`reconciler.access`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fastapi import Request

from reconciler.access import Action, Principal, Role, lower
from reconciler.errors import GuardRefused, ReconcilerError
from reconciler.store.tokens import LiveToken, Tokens
from reconciler.vault.tokens import BadToken, PresentedToken, present
from reconciler.web.answers import Refused

KIND: Final = "api"


class Authenticator:
    """Finds out who calls."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def principal(self, request: Request) -> Principal:
        """Tell who calls; raises Refused (401)."""
        presented = _presented(request)
        found = await self._tokens.find(presented.id)
        # Compared also when there is none, so that both take the same time.
        proven = presented.proves(b"\0" * 32 if found is None else found.digest)
        if found is None or not proven:
            raise _unauthorized()
        if found.unmarked:
            with suppress(ReconcilerError):  # the call matters more than the mark
                await self._tokens.used(found.id)
        return _principal(found)

    async def provide(self, request: Request) -> None:
        """Be there for the routes of a router: `Needs` asks this one."""
        request.state.authenticator = self


class Needs:
    """The dependency of a route: who calls, if *action* is allowed; else Refused (401, 403)."""

    def __init__(self, action: Action) -> None:
        self._action = action

    async def __call__(self, request: Request) -> Principal:
        """Tell who calls."""
        authenticator: Authenticator = request.state.authenticator
        principal = await authenticator.principal(request)
        try:
            principal.require(self._action)
        except GuardRefused as error:
            raise Refused(403, "forbidden", error.message) from None
        return principal


def _presented(request: Request) -> PresentedToken:
    given = request.headers.getlist("authorization")
    scheme, _, text = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer":
        raise _unauthorized()
    try:
        presented = present(text.strip(" "))
    except BadToken:
        raise _unauthorized() from None
    if presented.kind != KIND:
        raise _unauthorized()
    return presented


def _principal(token: LiveToken) -> Principal:
    role = Role(token.role)
    if token.member_role is not None:
        role = lower(role, Role(token.member_role))
    known = frozenset(Action(scope) for scope in token.scopes if scope in set(Action))
    if token.scopes and not known:
        raise _unauthorized()  # scopes of a newer version only: none that we know
    return Principal(
        name=f"token {token.name} ({token.id})",
        role=role,
        organization_id=token.organization_id,
        scopes=known,
    )


def _unauthorized() -> Refused:
    message = "this needs an API token: Authorization: Bearer rec_api_..."
    return Refused(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})
