"""How psycopg reads and writes times: aware datetimes in UTC, whatever the column is.

The seed's columns are TIMESTAMP(3) without zone and hold UTC. Not here: the
same for SQLAlchemy (`reconciler.store.types`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from psycopg import adapters
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format
from psycopg.types.datetime import DatetimeDumper, TimestamptzBinaryLoader, TimestamptzLoader

from reconciler.store.arrays import quick_arrays

if TYPE_CHECKING:
    from psycopg.abc import AdaptContext, Buffer, PyFormat
    from psycopg.adapt import Dumper

_TIMESTAMPTZ: Final = adapters.types["timestamptz"].oid


class _UtcText(Loader):
    """Reads a time without zone as one of UTC; psycopg's own loader of those is written in C."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        quickest = adapters.get_loader(_TIMESTAMPTZ, Format.TEXT) or TimestamptzLoader
        self._aware = quickest(_TIMESTAMPTZ, context)

    def load(self, data: Buffer) -> datetime:
        found: datetime = self._aware.load(bytes(data) + b"+00")
        return found


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
    ours.register_loader("timestamp", TimestamptzBinaryLoader)  # the same bytes
    ours.register_dumper(datetime, _AwareOnly)
    quick_arrays(ours)
    return ours
