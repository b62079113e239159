"""Databases as a whole: make one when it is missing.

Not here: what stands inside them (migrations and the other modules of `store`).
"""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg import errors, sql

from reconciler.errors import DatabaseUnreachable


def create_database(url: str, name: str) -> None:
    """Make the database *name* on the server of *url*; one that exists is left as it is.

    Raises DatabaseUnreachable when the server does not answer, refuses the login or forbids it.
    """
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if known.fetchone() is None:
                # Two processes may both have seen it missing.
                with suppress(errors.DuplicateDatabase, errors.UniqueViolation):
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        first = str(error).strip().partition("\n")[0]
        raise DatabaseUnreachable(
            f"the database {name} could not be made: {first}",
            hint="check the address, the login and its right to create databases",
        ) from error
