"""`reconciler.api_tokens`: tokens as digests, with what they may do and how long.

Not here: their text and how it is checked (`reconciler.vault.tokens`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciler.store.database import Database

# A token of a person never allows more than the person is allowed now; a person that has left the
# organization has none. Last use is written once a minute at most.
_FIND = b"""
SELECT t.id, t.organization_id, t.name, t.role, t.scopes, t.secret_hash, m.role,
       t.last_used_at IS NULL OR t.last_used_at < statement_timestamp() - interval '1 minute'
FROM reconciler.api_tokens t
LEFT JOIN reconciler.memberships m
    ON m.organization_id = t.organization_id AND m.user_id = t.user_id
WHERE t.id = %(id)s AND t.revoked_at IS NULL
  AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())
  AND (t.user_id IS NULL OR m.role IS NOT NULL)
"""
_TOUCH = b"""
UPDATE reconciler.api_tokens SET last_used_at = clock_timestamp()
WHERE id = %(id)s
  AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute')
"""
_CREATE = b"""
INSERT INTO reconciler.api_tokens
    (id, organization_id, user_id, name, role, scopes, secret_hash, created_by, expires_at)
SELECT %(id)s, %(organization)s, u.id, %(name)s, %(role)s, %(scopes)s, %(hash)s, %(created_by)s,
       clock_timestamp() + %(lasts)s::interval
FROM (SELECT 1) AS one LEFT JOIN public.users u ON u.email = %(email)s::text
WHERE %(email)s::text IS NULL OR EXISTS (
    SELECT 1 FROM reconciler.memberships m
    WHERE m.organization_id = %(organization)s AND m.user_id = u.id)
RETURNING expires_at
"""
_LIST = b"""
SELECT t.id, t.organization_id, coalesce(r.name, o.name), t.name, t.role, t.scopes, u.email, t.created_by,
       t.created_at, t.expires_at, t.last_used_at, t.revoked_at,
       t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())
FROM reconciler.api_tokens t
JOIN public.organization o ON o.id = t.organization_id
LEFT JOIN reconciler.resources r ON r.row_id = o.id AND r.kind = 'Organization'
LEFT JOIN public.users u ON u.id = t.user_id
WHERE %(organization)s::text IS NULL OR t.organization_id = %(organization)s
ORDER BY t.created_at DESC, t.id
"""
_REVOKE = b"""
UPDATE reconciler.api_tokens SET revoked_at = coalesce(revoked_at, clock_timestamp())
WHERE (id = ANY(%(named)s) OR name = ANY(%(named)s))
  AND (%(organization)s::text IS NULL OR organization_id = %(organization)s)
RETURNING id
"""
MOST: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token to be; *lasts* None: it does not expire."""

    id: str
    organization_id: str
    name: str
    role: str
    scopes: Sequence[str]
    digest: bytes
    created_by: str
    lasts: timedelta | None
    email: str | None = None  # of the member it belongs to


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveToken:
    """A token that is neither revoked nor expired; *member_role* is its person's role now."""

    id: str
    organization_id: str
    name: str
    role: str
    scopes: tuple[str, ...]
    digest: bytes
    member_role: str | None
    unmarked: bool  # its last use is not noted, or a while ago


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """A token as it is listed."""

    id: str
    organization_id: str
    organization: str
    name: str
    role: str
    scopes: tuple[str, ...]
    email: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    live: bool


class Tokens:
    """The table of tokens; every clock is the database's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, new: NewToken) -> tuple[bool, datetime | None]:
        """Store a token; (False, None) when its person is no member of the organization."""
        values = {
            "id": new.id,
            "organization": new.organization_id,
            "name": new.name,
            "role": new.role,
            "scopes": list(new.scopes),
            "hash": new.digest,
            "created_by": new.created_by,
            "lasts": new.lasts,
            "email": new.email,
        }
        rows = await self._database.execute(_CREATE, values)
        return (True, rows[0][0]) if rows else (False, None)

    async def find(self, id_: str) -> LiveToken | None:
        """Look a token up by its id."""
        rows = await self._database.execute(_FIND, {"id": id_})
        if not rows:
            return None
        row = rows[0]
        return LiveToken(
            id=row[0],
            organization_id=row[1],
            name=row[2],
            role=row[3],
            scopes=tuple(row[4]),
            digest=bytes(row[5]),
            member_role=row[6],
            unmarked=row[7],
        )

    async def used(self, id_: str) -> None:
        """Note that a token was used now."""
        await self._database.execute(_TOUCH, {"id": id_})

    async def listed(self, organization_id: str | None) -> list[TokenRecord]:
        """List all tokens of an organization (None: of all), newest first."""
        rows = await self._database.execute(_LIST, {"organization": organization_id})
        return [
            TokenRecord(
                id=row[0],
                organization_id=row[1],
                organization=row[2],
                name=row[3],
                role=row[4],
                scopes=tuple(row[5]),
                email=row[6],
                created_by=row[7],
                created_at=row[8],
                expires_at=row[9],
                last_used_at=row[10],
                revoked_at=row[11],
                live=row[12],
            )
            for row in rows
        ]

    async def revoke(self, organization_id: str | None, named: Sequence[str]) -> list[str]:
        """Revoke the tokens with these ids or names; gives the ids."""
        values = {"organization": organization_id, "named": list(named)}
        return [row[0] for row in await self._database.execute(_REVOKE, values)]
