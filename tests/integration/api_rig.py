"""The API over a fresh database, with two organizations that look alike, and tokens for it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from reconciler.access import Action, Role
from reconciler.store.database import Database
from reconciler.store.executions import Executions
from reconciler.store.tokens import NewToken, Tokens
from reconciler.vault.tokens import mint
from reconciler.web.api import api_router
from reconciler.web.app import make_app
from tests.integration.tenants import Tenants, tenants_of

RANDOM = itertools.count(1)


@dataclass(slots=True)
class Api:
    """The API as callers see it, and the tables behind it."""

    http: httpx.AsyncClient
    database: Database
    executions: Executions
    tenants: Tenants

    async def token(
        self,
        organization: str = "acme",
        role: Role = Role.OPERATOR,
        *,
        scopes: tuple[Action, ...] = (),
        lasts: timedelta | None = None,
        email: str | None = None,
        kind: str = "api",
    ) -> str:
        """Make a token and give its text."""
        number = next(RANDOM)
        secret, digest = mint(kind, f"t{number}", number.to_bytes(32))
        created, _ = await Tokens(self.database).create(
            NewToken(
                id=f"t{number}",
                organization_id=organization,
                name=f"robot {number}",
                role=role.value,
                scopes=[scope.value for scope in scopes],
                digest=digest,
                created_by="test",
                lasts=lasts,
                email=email,
            )
        )
        assert created
        return secret.reveal()

    async def call(self, token: str | None, method: str, path: str, **more: Any) -> httpx.Response:
        """Call the API."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.http.request(
            method, path, headers={**headers, **more.pop("headers", {})}, **more
        )

    async def run(self, token: str, name: str = "acme/greet", **more: Any) -> httpx.Response:
        """Run an automation."""
        return await self.call(token, "POST", f"/api/automations/{name}/run", **more)


@asynccontextmanager
async def open_api(url: str, database: Database) -> AsyncIterator[Api]:
    """Make the organizations acme and globex, and the API over them."""
    with tenants_of(url) as tenants:
        for name in ("acme", "globex"):
            tenants.organization(name)
            tenants.automation(name, "greet")
            tenants.trigger(f"{name}-greet", "scans")
        ids = (f"x{number}" for number in itertools.count())
        executions = Executions(database, new_id=lambda: next(ids))
        router = api_router(database, executions, new_id=lambda: next(ids), poke=lambda: None)
        transport = httpx.ASGITransport(make_app([router]), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            yield Api(http, database, executions, tenants)
