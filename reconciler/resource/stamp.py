"""How n8n tells one state of an object from another, without comparing the whole of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """The version marks of an n8n object as they were when we saw it."""

    version: str | None = None  # n8n's versionId
    published: str | None = None  # n8n's activeVersionId
    updated_at: str | None = None  # n8n's updatedAt, verbatim

    @classmethod
    def of(cls, object_: Mapping[str, Any]) -> Self:
        """Read the marks of an object as the public API shows it."""
        return cls(
            version=object_.get("versionId"),
            published=object_.get("activeVersionId"),
            updated_at=object_.get("updatedAt"),
        )
