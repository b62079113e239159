"""What a kind needs of n8n: a few verbs on JSON objects, and a knock at a webhook's door.

A kind gets an `Api` as an argument and never imports the HTTP client behind it
(`reconciler.n8n`), so it runs unchanged against a double. Not here: which
endpoints there are and what their bodies mean; each kind knows its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol, TypeAlias

from reconciler.resource.payload import Object

Query: TypeAlias = str | int | bool


class Api(Protocol):
    """n8n's public API; *path* is relative to it, such as ``/workflows``.

    Every call may raise `N8nError` (n8n said no, in its own words), `N8nUnauthorized`
    or `N8nUnreachable`. A write is sent once unless the caller says *idempotent*:
    then what is transient is tried again. `outcome_unknown` on `N8nUnreachable` and
    `N8nUnavailable` tells whether a failed write may have been done all the same.
    """

    async def get(self, path: str, **query: Query) -> Object:
        """Read one object."""
        raise NotImplementedError

    async def post(
        self,
        path: str,
        body: Object | None = None,
        *,
        idempotent: bool = False,
        **query: Query,
    ) -> Object:
        """Create an object or call an action such as ``/workflows/{id}/publish``."""
        raise NotImplementedError

    async def put(
        self,
        path: str,
        body: Object | None = None,
        *,
        idempotent: bool = False,
        **query: Query,
    ) -> Object:
        """Replace an object."""
        raise NotImplementedError

    async def patch(
        self,
        path: str,
        body: Object | None = None,
        *,
        idempotent: bool = False,
        **query: Query,
    ) -> Object:
        """Change some fields of an object."""
        raise NotImplementedError

    async def delete(
        self,
        path: str,
        body: Object | None = None,
        *,
        idempotent: bool = False,
        **query: Query,
    ) -> Object:
        """Delete an object and return what it was."""
        raise NotImplementedError

    def pages(self, path: str, **query: Query) -> AsyncIterator[Object]:
        """Yield every row of a listing once.

        A row that exists during the whole listing is never missed; one that is
        created or deleted meanwhile may or may not appear.
        """
        raise NotImplementedError

    async def probe(self, path: str) -> int:
        """POST to the webhook at *path* without credentials and return the HTTP status.

        404: no such webhook is registered; 403: there is one, and it asks for credentials.
        """
        raise NotImplementedError
