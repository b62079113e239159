"""Column types of our tables for SQLAlchemy.

The seed keeps UTC in TIMESTAMP(3) columns without a zone; Python sees aware
datetimes. Not here: the same for psycopg (`reconciler.store.times`).
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import ENUM, TIMESTAMP
from sqlalchemy.types import TypeDecorator


class UtcTimestamp(TypeDecorator[datetime]):
    """An aware datetime in a TIMESTAMP(3) column that holds UTC; a naive one is refused."""

    impl = TIMESTAMP(timezone=False, precision=3)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Take the zone away, after going to UTC; raises ValueError when there is none."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a datetime without a zone would be stored as if it were UTC"
            raise ValueError(message)
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


def enum(name: str, *labels: str) -> ENUM:
    """Name one of the seed's enum types in the schema `public`."""
    return ENUM(*labels, name=name)
