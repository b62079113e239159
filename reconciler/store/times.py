"""How psycopg reads and writes times: aware datetimes in UTC, whatever the column is.

The seed's columns are TIMESTAMP(3) without zone and hold UTC. Not here: the
same for SQLAlchemy (`reconciler.store.types`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from psycopg import adapters
from psycopg.adapt import AdaptersMap
from psycopg.types.datetime import (
    DatetimeDumper,
    TimestampBinaryLoader,
    TimestampLoader,
)

if TYPE_CHECKING:
    from psycopg.abc import Buffer, PyFormat
    from psycopg.adapt import Dumper


class _UtcText(TimestampLoader):
    def load(self, data: Buffer) -> datetime:
        return super().load(data).replace(tzinfo=UTC)


class _UtcBinary(TimestampBinaryLoader):
    def load(self, data: Buffer) -> datetime:
        return super().load(data).replace(tzinfo=UTC)


class _AwareOnly(DatetimeDumper):
    def upgrade(self, obj: datetime, format: PyFormat) -> Dumper:  # noqa: A002, ARG002 - psycopg's name
        if obj.tzinfo is None:
            message = "a datetime without a zone would be stored as if it were UTC"
            raise ValueError(message)
        return self


def utc_adapters() -> AdaptersMap:
    """Build the adapters for our connections; their session time zone must be UTC."""
    ours = AdaptersMap(adapters)
    ours.register_loader("timestamp", _UtcText)
    ours.register_loader("timestamp", _UtcBinary)
    ours.register_dumper(datetime, _AwareOnly)
    return ours
