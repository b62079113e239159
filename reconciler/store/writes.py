"""What may be written in one commit, as data: rows, a step's intent, a step's outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from reconciler.resource.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWrite:
    """A row as it shall be: only *columns* (and updatedAt) change.

    A row that isn't there is created, unless *create* is false: then nothing happens.
    """

    table: str
    row_id: str
    columns: Mapping[str, Any]
    create: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDelete:
    """A row that shall be gone."""

    table: str
    row_id: str


Write: TypeAlias = RowWrite | RowDelete


@dataclass(frozen=True, slots=True, kw_only=True)
class StepIntent:
    """A step of an operation that is about to be tried; *ordinal* counts from 1."""

    operation: str
    ordinal: int
    address: Address
    action: str
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How a step ended; *error* None means done."""

    operation: str
    ordinal: int
    error: str | None = None
