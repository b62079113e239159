"""The way from texts to what is loaded, in two steps around the reading of workflow files.

`read` parses and models all documents and says which workflow files they name;
`link` takes those files' texts and checks everything against everything. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.diagnostics import Diagnostic, Severity
from reconciler.spec.crosscheck import check_circles, check_documents, check_references
from reconciler.spec.document import Document, SpecFile
from reconciler.spec.envelope import read_documents
from reconciler.spec.jsontext import parse_json
from reconciler.spec.link import Loaded, Models, Resource, Workflow, model_resources, tidy
from reconciler.spec.model import WorkflowSource
from reconciler.spec.problems import shown
from reconciler.spec.scalar import plain


@dataclass(frozen=True, slots=True)
class Wanted:
    """A workflow file that a document names: *relative* is the document's own file."""

    relative: str
    file: str


@dataclass(frozen=True, slots=True)
class WorkflowText:
    """What was found for a `Wanted`: the *text* at the shown *path*, or what is wrong."""

    path: str = ""
    text: str | None = None
    code: str = ""
    message: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The first step's result; *wanted* is what the second step needs."""

    resources: tuple[Resource, ...]
    documents: tuple[Document, ...]
    diagnostics: tuple[Diagnostic, ...]
    texts: Mapping[str, str]
    relatives: Mapping[str, str]  # shown path -> path relative to the root
    wanted: tuple[Wanted, ...]


def read(files: Iterable[SpecFile], models: Models) -> Read:
    """Parse *files* and check each document on its own."""
    kinds = frozenset(models)
    documents: list[Document] = []
    found: list[Diagnostic] = []
    texts: dict[str, str] = {}
    relatives: dict[str, str] = {}
    for file in files:
        texts[file.path], relatives[file.path] = file.text, file.relative
        more, problems = read_documents(file, kinds)
        documents += more
        found += problems
    resources, problems = model_resources(documents, models)
    wanted = [
        Wanted(relatives[item.document.path], source.file)
        for item in resources
        if (source := item.spec.workflow_source()) is not None and source.file is not None
    ]
    return Read(
        resources=tuple(resources),
        documents=tuple(documents),
        diagnostics=(*found, *problems),
        texts=texts,
        relatives=relatives,
        wanted=tuple(dict.fromkeys(wanted)),
    )


def link(first: Read, workflows: Mapping[Wanted, WorkflowText]) -> Loaded:
    """Check the documents against each other and against the *workflows* they name."""
    found = list(first.diagnostics)
    texts = dict(first.texts)
    parsed: dict[str, object] = {}
    resources: list[Resource] = []
    for resource in first.resources:
        source = resource.spec.workflow_source()
        if source is None:
            resources.append(resource)
            continue
        if source.file is None:
            workflow: Workflow | None = _inline(resource, source)
        else:
            key = Wanted(first.relatives[resource.document.path], source.file)
            workflow = _file(resource, source, workflows[key], parsed, found)
            if workflow is not None and workflow.text is not None:
                texts[workflow.path] = workflow.text
        resources.append(replace(resource, workflow=workflow))
    for item in workflows.values():
        if item.text is not None:
            texts[item.path] = item.text
    found += check_documents(first.documents)
    found += check_references(resources, first.documents)
    found += check_circles(resources)
    resources.sort(key=lambda item: item.address)
    tenants = {document.name for document in first.documents if document.kind == "Organization"}
    return Loaded(
        resources=tuple(resources),
        index={item.address: item for item in resources},
        organizations=frozenset(tenants),
        texts=texts,
        diagnostics=tidy(found),
        documents=len(first.documents),
        files=len(first.texts),
    )


def _inline(resource: Resource, source: WorkflowSource) -> Workflow:
    document = plain(source.inline)
    return Workflow(
        path=resource.document.path,
        document=document,  # type: ignore[arg-type]
        inline=resource.document,
        prefix=(*resource.prefix, *source.path),
    )


def _file(
    resource: Resource,
    source: WorkflowSource,
    found_text: WorkflowText,
    parsed: dict[str, object],
    found: list[Diagnostic],
) -> Workflow | None:
    """Make the workflow of *resource* out of its file's text, or report what is wrong."""
    path, text = found_text.path, found_text.text
    if text is None:
        mark = resource.place(source.path)
        found.append(
            Diagnostic(Severity.ERROR, found_text.code, found_text.message, mark, found_text.hint)
        )
        return None
    if path not in parsed:
        value, problems = parse_json(text, path)
        found += problems
        if not problems and not isinstance(value, dict):
            message = f"a workflow is an object, not {shown(value)}"
            mark = Workflow(path=path, document=None, text=text).place()
            found.append(Diagnostic(Severity.ERROR, "JSN101", message, mark))
        parsed[path] = value if not problems and isinstance(value, dict) else None
    if parsed[path] is None:
        return None
    return Workflow(path=path, document=parsed[path], text=text)  # type: ignore[arg-type]
