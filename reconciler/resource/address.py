"""Names of resources: an address never changes, an id belongs to a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a resource lives in the specs, such as ``acme/Automation/invoice-intake``."""

    organization: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.organization}/{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; raises ValueError unless it has three non-empty parts."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts):
            message = f"not an address: {text!r} (expected organization/Kind/name)"
            raise ValueError(message)
        return cls(*parts)
