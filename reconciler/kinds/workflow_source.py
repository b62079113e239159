"""Where the workflow of a document is: in a file or inline; shared by two kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from reconciler.diagnostics import Problem
from reconciler.spec.model import JsonObject, Part, Path, Text, WorkflowSource


class WorkflowFile(Part):
    """A workflow as n8n exports it, in a file or inline."""

    file: Annotated[Text, Field(min_length=1, max_length=4096)] | None = Field(
        default=None,
        description="Path of a JSON file, relative to this document or to the spec root",
        examples=["workflows/invoice-intake.json"],
    )
    inline: JsonObject | None = Field(
        default=None, description="The workflow itself: nodes, connections, settings"
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that there is exactly one source."""
        yield from exactly_one(given, ("file", "inline"))

    def source(self, path: Path) -> WorkflowSource:
        """Tell where the workflow is, *path* being the way to this part."""
        word = "file" if self.file is not None else "inline"
        return WorkflowSource((*path, word), self.file, self.inline)


def written_file(given: Mapping[str, object]) -> WorkflowSource | None:
    """Tell which file a spec's raw fields name as its workflow."""
    match given.get("workflow"):
        case {"file": str(file)} if file:
            return WorkflowSource(("workflow", "file"), file)
        case _:
            return None


def exactly_one(given: Mapping[str, object], words: tuple[str, ...]) -> Iterator[Problem]:
    """Yield a problem unless *given* has exactly one of *words*."""
    used = [word for word in words if word in given]
    if len(used) == 1:
        return
    wanted = f"{', '.join(words[:-1])} and {words[-1]}"
    said = "none is given" if not used else f"{' and '.join(used)} are given"
    yield Problem("SPE112", f"a workflow has exactly one of {wanted}; {said}")
