"""The way from texts to what is loaded, in two steps around the reading of workflow files.

`read` parses and models all documents and says which workflow files they name;
`link` takes those files' texts and checks everything against everything. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.diagnostics import Diagnostic, Problem, Severity
from reconciler.resource.payload import Json
from reconciler.spec.crosscheck import check_circles, check_documents, check_references
from reconciler.spec.document import Document, Lost, SpecFile, folder_of
from reconciler.spec.envelope import read_documents
from reconciler.spec.jsontext import parse_json
from reconciler.spec.link import (
    Broken,
    Loaded,
    Models,
    Resource,
    Wanted,
    Workflow,
    WorkflowText,
    model_resources,
    place,
    tidy,
)
from reconciler.spec.model import WorkflowSource
from reconciler.spec.problems import shown
from reconciler.spec.scalar import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The first step's result; *wanted* is what the second step needs."""

    resources: tuple[Resource, ...]
    broken: tuple[Broken, ...]
    documents: tuple[Document, ...]
    lost: tuple[Lost, ...]
    diagnostics: tuple[Diagnostic, ...]
    texts: Mapping[str, str]
    relatives: Mapping[str, str]  # shown path -> path relative to the root
    wanted: tuple[Wanted, ...]


def read(files: Iterable[SpecFile], models: Models, unread: Iterable[str] = ()) -> Read:
    """Parse *files* and check each document on its own; *unread* files may hold anything."""
    kinds = frozenset(models)
    documents: list[Document] = []
    lost = [Lost(folder_of(relative)) for relative in unread]
    found: list[Diagnostic] = []
    texts: dict[str, str] = {}
    relatives: dict[str, str] = {}
    for file in files:
        texts[file.path], relatives[file.path] = file.text, file.relative
        more, missed, problems = read_documents(file, kinds)
        documents += more
        lost += missed
        found += problems
    resources, broken, problems = model_resources(documents, models)
    sources = [(item.document, item.spec.workflow_source()) for item in resources]
    sources += [(item.document, item.source) for item in broken]
    wanted = [
        Wanted(relatives[document.path], source.file)
        for document, source in sources
        if source is not None and source.file is not None
    ]
    return Read(
        resources=tuple(resources),
        broken=tuple(broken),
        documents=tuple(documents),
        lost=tuple(lost),
        diagnostics=(*found, *problems),
        texts=texts,
        relatives=relatives,
        wanted=tuple(dict.fromkeys(wanted)),
    )


def link(first: Read, workflows: Mapping[Wanted, WorkflowText]) -> Loaded:
    """Check the documents against each other and against the *workflows* they name."""
    found = list(first.diagnostics)
    shelf = _Shelf(first, workflows, found)
    resources = []
    for resource in first.resources:
        source = resource.spec.workflow_source()
        if source is None:
            resources.append(resource)
        elif source.file is None:
            resources.append(replace(resource, workflow=_inline(resource, source)))
        else:
            workflow = shelf.take(resource.document, source)
            resources.append(replace(resource, workflow=workflow))
    for item in first.broken:
        if item.source is not None:
            shelf.take(item.document, item.source)
    found += check_documents(first.documents, first.lost)
    found += check_references(resources, first.broken, first.documents, first.lost)
    found += check_circles(resources)
    resources.sort(key=lambda item: item.address)
    tenants = {document.name for document in first.documents if document.kind == "Organization"}
    return Loaded(
        resources=tuple(resources),
        index={item.address: item for item in resources},
        organizations=frozenset(tenants),
        texts={**first.texts, **shelf.texts},
        diagnostics=tidy(found),
        documents=len(first.documents),
        files=len(first.texts),
        workflows=workflows,
    )


def _inline(resource: Resource, source: WorkflowSource) -> Workflow:
    document = plain(source.inline)
    return Workflow(
        path=resource.document.path,
        document=document,  # type: ignore[arg-type]
        inline=resource.document,
        prefix=(*resource.prefix, *source.path),
    )


class _Shelf:
    """The workflow files that were read; each is parsed once, and its faults reported once."""

    def __init__(
        self, first: Read, workflows: Mapping[Wanted, WorkflowText], found: list[Diagnostic]
    ) -> None:
        self.relatives = first.relatives
        self.workflows = workflows
        self.found = found
        self.parsed: dict[str, Json] = {}
        self.texts = {item.path: item.text for item in workflows.values() if item.text is not None}

    def take(self, document: Document, source: WorkflowSource) -> Workflow | None:
        """Give the workflow that *document* names; None when something is wrong with it."""
        want = Wanted(self.relatives[document.path], source.file or "")
        file = self.workflows[want]
        if file.text is None:
            problem = Problem(file.code, file.message, source.path, file.hint)
            self.found.append(place(document, ("spec",), problem))
            return None
        if file.path not in self.parsed:
            self.parsed[file.path] = self._parse(file.path, file.text)
        value = self.parsed[file.path]
        return None if value is None else Workflow(path=file.path, document=value, text=file.text)

    def _parse(self, path: str, text: str) -> Json:
        value, problems = parse_json(text, path)
        self.found += problems
        if problems:
            return None
        if not isinstance(value, dict):
            message = f"a workflow is an object, not {shown(value)}"
            mark = Workflow(path=path, document=None, text=text).place()
            self.found.append(Diagnostic(Severity.ERROR, "JSN101", message, mark))
            return None
        return value
