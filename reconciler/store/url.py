"""Read a database URL without ever repeating its password.

Accepts what people paste: ``postgres://``, ``postgresql://``, SQLAlchemy's
``postgresql+psycopg://`` and the query parameters of Prisma. Not here:
connecting (`reconciler.store.database`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from reconciler.errors import ConfigError

CONNECT_TIMEOUT = 5  # seconds
SCHEMA = "public"

_SCHEME = re.compile(r"^postgres(?:ql)?(?:\+[a-z0-9]+)?://", re.IGNORECASE)
_PRISMA_ONLY = ("connection_limit", "pool_timeout", "pgbouncer", "socket_timeout", "sslaccept")
_HINT = "write postgresql://user:password@host:5432/database, special characters percent-encoded"
# A peer that vanished without a word is noticed after about ten seconds.
_KEEPALIVE = {
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to connect: *conninfo* holds the password, *place* is safe to print."""

    conninfo: str = field(repr=False)
    place: str
    user: str


def parse_url(url: str, *, application_name: str) -> Target:
    """Turn *url* into a `Target`; raises ConfigError when it is malformed."""
    found = _SCHEME.match(url.strip())
    if found is None:
        message = "the database URL must start with postgresql:// or postgres://"
        raise ConfigError(message, hint=_HINT)
    plain, schema = _without_prisma("postgresql://" + url.strip()[found.end() :])
    if schema not in (None, SCHEMA):
        message = f'the database URL asks for schema "{schema}", but the tables live in "{SCHEMA}"'
        raise ConfigError(message, hint='leave "schema" out of the URL')
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(plain).items()}
    except (Error, ValueError):
        # The cause is dropped on purpose: libpq quotes parts of the URL.
        message = "the database URL is malformed"
        raise ConfigError(message, hint=_HINT) from None
    _check_port(given.get("port", ""))
    settings = {"connect_timeout": str(CONNECT_TIMEOUT), **_KEEPALIVE, **given}
    settings.setdefault("application_name", application_name)
    host = given.get("host") or given.get("hostaddr") or "the local socket"
    database = given.get("dbname") or given.get("user") or "its default database"
    return Target(
        conninfo=make_conninfo("", **settings),
        place=f"{host}:{given.get('port', '5432')}/{database}",
        user=given.get("user", ""),
    )


def _without_prisma(url: str) -> tuple[str, str | None]:
    """Drop the parameters that only Prisma understands; return its schema beside the rest."""
    base, mark, query = url.partition("?")
    if not mark:
        return url, None
    schema = None
    kept: list[str] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name == "schema":
            schema = value
        elif name and name not in _PRISMA_ONLY:
            kept.append(part)
    return (f"{base}?{'&'.join(kept)}" if kept else base), schema


def _check_port(ports: str) -> None:
    for port in filter(None, ports.split(",")):
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            message = "the port in the database URL is not a number from 1 to 65535"
            raise ConfigError(message, hint=_HINT)
