"""What the table modules share: the metadata and short names for common columns."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Integer, MetaData, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from reconciler.store.types import UtcTimestamp

OURS = "reconciler"

metadata = MetaData(
    naming_convention={"pk": "%(table_name)s_pkey", "ck": "%(table_name)s_%(constraint_name)s"}
)

MOMENT = TIMESTAMP(timezone=True)


def required(name: str, default: str | None = None) -> Column[Any]:
    """Make a NOT NULL text column."""
    return Column(name, Text, nullable=False, server_default=default)


def optional(*names: str) -> list[Column[Any]]:
    """Make nullable text columns."""
    return [Column(name, Text) for name in names]


def counter(name: str) -> Column[Any]:
    """Make an integer column that starts at 0."""
    return Column(name, Integer, nullable=False, server_default=text("0"))


def texts(name: str) -> Column[Any]:
    """Make a NOT NULL list of texts that starts empty."""
    return Column(name, ARRAY(Text), nullable=False, server_default=text("'{}'"))


def document(name: str, default: str) -> Column[Any]:
    """Make a NOT NULL JSONB column."""
    return Column(name, JSONB, nullable=False, server_default=text(f"'{default}'"))


def made_at(name: str) -> Column[Any]:
    """Make a timestamptz column that is filled in by the database."""
    now = text("clock_timestamp()")
    return Column(name, MOMENT, nullable=False, server_default=now)


def stamps() -> list[Column[Any]]:
    """Make the seed's createdAt and updatedAt."""
    now = text("CURRENT_TIMESTAMP")
    return [
        Column("createdAt", UtcTimestamp, nullable=False, server_default=now),
        Column("updatedAt", UtcTimestamp, nullable=False),
    ]
