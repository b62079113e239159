"""Documents to resources: every document against its model, then against all the others.

All errors are found in one run, each at its place. Pure: reading files is
`reconciler.source`'s work, which hands texts in. Not here: what a resource
becomes in PostgreSQL and n8n (`reconciler.kinds`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeAlias

from pydantic import ValidationError

from reconciler.diagnostics import Diagnostic, Mark, Problem, Severity
from reconciler.resource.address import Address
from reconciler.resource.payload import Json
from reconciler.spec.document import Document
from reconciler.spec.jsonmarks import locate
from reconciler.spec.model import Path, Reference, Spec, WorkflowSource
from reconciler.spec.problems import problems

UNNAMED: Final = "this looks like a secret in plain text"  # where no field says which
_LONGEST: Final = 500  # characters of a message
Models: TypeAlias = Mapping[str, type[Spec]]


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


class Placeable(Protocol):
    """A finding inside a workflow, as `reconciler.workflow` makes them."""

    @property
    def path(self) -> Path:
        """The way into the JSON."""

    @property
    def code(self) -> str:
        """Its stable code."""

    @property
    def severity(self) -> Severity:
        """How bad it is."""

    @property
    def message(self) -> str:
        """One sentence."""

    @property
    def hint(self) -> str | None:
        """What to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow's JSON and where it is written: in a file of its own, or inline."""

    path: str
    document: Json
    text: str | None = None  # of the JSON file; None: inline
    inline: Document | None = None
    prefix: Path = ()  # of the inline workflow inside its document

    def place(self, pointer: Path = ()) -> Mark:
        """Find the place of the value at *pointer*."""
        if self.text is not None:
            return locate(self.text, pointer, file=self.path)
        if self.inline is None:
            return Mark(self.path)
        return self.inline.mark((*self.prefix, *pointer))

    def diagnose(self, finding: Placeable) -> Diagnostic:
        """Put *finding* in its place."""
        mark = self.place(finding.path)
        return Diagnostic(finding.severity, finding.code, finding.message, mark, finding.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A document, or a part of one, that is valid on its own."""

    address: Address
    spec: Spec
    document: Document
    prefix: Path = ("spec",)  # of the spec inside its document
    workflow: Workflow | None = None

    @property
    def mark(self) -> Mark:
        """Where it is written."""
        return self.document.mark(() if self.prefix == ("spec",) else self.prefix)

    @property
    def labels(self) -> Mapping[str, str]:
        """The document's labels."""
        return self.document.labels

    @property
    def moved_from(self) -> Address | None:
        """Its old address, after a renaming; what is written inside moves with its document."""
        old = self.document.moved_from
        if old is None:
            return None
        name = old + self.address.name.removeprefix(self.document.name)
        return replace(self.address, name=name)

    def place(self, path: Path = (), *, key: bool = False) -> Mark:
        """Find the place of the value at *path* inside the spec."""
        return self.document.mark((*self.prefix, *path), key=key)

    def diagnose(self, problem: Problem, severity: Severity = Severity.ERROR) -> Diagnostic:
        """Put *problem* in its place."""
        mark = self.place(problem.path, key=problem.at == "key")
        return Diagnostic(severity, problem.code, problem.message, mark, problem.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Everything the specs say, and everything that is wrong with them."""

    resources: tuple[Resource, ...] = ()
    index: Mapping[Address, Resource] = field(default_factory=dict)
    organizations: frozenset[str] = frozenset()
    texts: Mapping[str, str] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    documents: int = 0
    files: int = 0
    workflows: Mapping[Wanted, WorkflowText] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not any(diagnostic.is_error for diagnostic in self.diagnostics)

    def resource(self, address: Address) -> Resource | None:
        """Look a resource up."""
        return self.index.get(address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A document that is wrong on its own; what it names is checked all the same."""

    document: Document
    references: tuple[Reference, ...]
    source: WorkflowSource | None


def model_resources(
    documents: Iterable[Document], models: Models
) -> tuple[list[Resource], list[Broken], list[Diagnostic]]:
    """Check each document against its kind's model; sugar becomes resources of its own."""
    resources: list[Resource] = []
    broken: list[Broken] = []
    found: list[Diagnostic] = []
    for document in documents:
        model = models[document.kind]
        try:
            spec = model.model_validate(document.spec)
        except ValidationError as error:
            found += [place(document, ("spec",), item) for item in problems(error, model)]
            names = tuple(model.written_references(document.spec))
            source = model.written_file(document.spec)
            broken.append(Broken(document=document, references=names, source=source))
            continue
        address = document.address
        resource = Resource(address=address, spec=spec, document=document)
        resources.append(resource)
        found += [resource.diagnose(item, Severity.WARNING) for item in spec.warnings()]
        resources += [
            Resource(
                address=Address(address.organization, child.kind, child.name),
                spec=child.spec,
                document=document,
                prefix=("spec", *child.path),
            )
            for child in spec.children(document.name)
        ]
    return resources, broken, found


def place(document: Document, prefix: Path, problem: Problem) -> Diagnostic:
    """Put *problem*, whose path begins at *prefix*, in its place."""
    mark = document.mark((*prefix, *problem.path), key=problem.at == "key")
    return Diagnostic(Severity.ERROR, problem.code, problem.message, mark, problem.hint)


def tidy(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort by place, without repetitions; a secret is reported once for each line."""
    nowhere = Mark("", 0, 0)
    unique = sorted(
        dict.fromkeys(map(_short, diagnostics)),
        key=lambda d: (d.mark or nowhere, d.code, d.message),
    )
    named = {_line(d) for d in unique if d.code == "CRE101" and d.message != UNNAMED}
    return tuple(d for d in unique if d.message != UNNAMED or _line(d) not in named)


def _short(diagnostic: Diagnostic) -> Diagnostic:
    """Cut a message that repeats a text of absurd length."""
    if len(diagnostic.message) <= _LONGEST:
        return diagnostic
    return replace(diagnostic, message=diagnostic.message[:_LONGEST] + "...")


def _line(diagnostic: Diagnostic) -> tuple[str, int] | None:
    return (diagnostic.mark.path, diagnostic.mark.line) if diagnostic.mark else None
