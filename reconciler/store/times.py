"""How psycopg reads and writes values: times are aware and in UTC, whatever the column is.

The seed's columns are TIMESTAMP(3) without zone and hold UTC. Not here: the
same for SQLAlchemy (`reconciler.store.types`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from psycopg import DataError, adapters
from psycopg.adapt import AdaptersMap, Loader
from psycopg.pq import Format
from psycopg.types.datetime import DatetimeDumper, TimestamptzBinaryLoader, TimestamptzLoader
from psycopg.types.json import set_json_loads

from reconciler.resource.unreadable import Unreadable
from reconciler.store.arrays import quick_arrays

if TYPE_CHECKING:
    from psycopg.abc import AdaptContext, Buffer, PyFormat
    from psycopg.adapt import Dumper

_DECODER: Final = json.JSONDecoder()
# For what PostgreSQL keeps and Python has no word for, infinity among it; with room for all zones.
_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
_TIMESTAMPTZ: Final = adapters.types["timestamptz"].oid


class _UtcText(Loader):
    """Reads a time without zone as one of UTC; psycopg's own loader of those is written in C."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        quickest = adapters.get_loader(_TIMESTAMPTZ, Format.TEXT) or TimestamptzLoader
        self._aware = quickest(_TIMESTAMPTZ, context)

    def load(self, data: Buffer) -> datetime:
        text = bytes(data)
        if text.endswith(b" BC"):  # with a zone after it, it may pass for a year of ours
            return _EARLIEST
        try:
            found: datetime = self._aware.load(text + b"+00")
        except DataError:
            return _EARLIEST if text.startswith(b"-") else _LATEST
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
    set_json_loads(_json, ours)
    return ours


def _json(data: str | bytes) -> Any:
    """Read what PostgreSQL wrote, which is UTF-8: `json.loads` would find that out each time.

    Never raises: whoever reads one such value among others would lose them all, again and again.
    """
    try:
        return _DECODER.decode(data if isinstance(data, str) else data.decode())
    except RecursionError:
        return Unreadable("it is nested too deeply")
    except ValueError:  # PostgreSQL writes nothing else that Python refuses
        return Unreadable("it holds a number of too many digits")
