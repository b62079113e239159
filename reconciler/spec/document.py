"""A document: what every spec has in common, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import Field

from reconciler.diagnostics import Mark
from reconciler.resource.address import Address
from reconciler.spec import place as places
from reconciler.spec.model import Name, Part, Text
from reconciler.spec.place import Path, Place

API_VERSION: Final = "reconciler/v1"
ORGANIZATIONS: Final = "organizations"  # the folder whose subfolders name organizations


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecFile:
    """A YAML file: *path* as the user knows it, *relative* to the spec root with slashes."""

    path: str
    relative: str
    text: str

    @property
    def organization(self) -> str | None:
        """The organization whose folder this file lies in, if any."""
        return folder_of(self.relative)


def folder_of(relative: str) -> str | None:
    """Tell the organization whose folder the file at *relative* lies in, if any."""
    parts = relative.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == ORGANIZATIONS else None


@dataclass(frozen=True, slots=True)
class Lost:
    """A document that could not be read far enough to be known; None: anything at all."""

    organization: str | None
    name: str | None = None

    def may_be(self, organization: str, name: str) -> bool:
        """Whether the lost document may have been the one called *name*."""
        return self.organization in {None, organization} and self.name in {None, name}


class Metadata(Part):
    """What a document is called and where it belongs."""

    name: Name = Field(
        description="Name, unique in its organization and kind", examples=["invoice-intake"]
    )
    organization: Name | None = Field(
        default=None,
        description="Name of the organization; follows from the folder organizations/<name>/",
    )
    labels: Annotated[dict[Text, Text], Field(max_length=50)] = Field(
        default_factory=dict, description="Words to select documents by"
    )
    moved_from: Name | None = Field(
        default=None, description="Its old name, after a renaming: ids and history are kept"
    )


class Envelope(Part):
    """The outside of every document."""

    api_version: Text = Field(description="Version of this format", examples=[API_VERSION])
    kind: Text = Field(description="What is described", examples=["Automation"])
    metadata: Metadata = Field(description="What it is called and where it belongs")
    spec: dict[str, Any] = Field(description="What is wanted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document with its places; *spec* is as written, not checked yet."""

    api_version: str
    kind: str
    organization: str
    name: str
    path: str
    place: Place
    spec: Mapping[str, object]
    labels: Mapping[str, str] = field(default_factory=dict)
    moved_from: str | None = None

    @property
    def address(self) -> Address:
        """Where this document stands among all others."""
        return Address(self.organization, self.kind, self.name)

    def mark(self, path: Path = (), *, key: bool = False) -> Mark:
        """Find the place of the value at *path* (from the top of the document)."""
        return places.mark(self.path, places.find(self.place, path, key=key))
