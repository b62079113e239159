"""Parsed YAML to documents: the part that all kinds share is checked here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from reconciler.diagnostics import Diagnostic, Problem, Severity
from reconciler.spec import place as places
from reconciler.spec.document import API_VERSION, Document, Envelope, Lost, SpecFile
from reconciler.spec.link import UNNAMED
from reconciler.spec.model import Path, name_problem
from reconciler.spec.parse import ParsedDocument, parse
from reconciler.spec.problems import did_you_mean, problems, shown
from reconciler.spec.scalar import as_written
from reconciler.spec.secrets import find_token


def read_documents(
    file: SpecFile, kinds: frozenset[str]
) -> tuple[list[Document], list[Lost], list[Diagnostic]]:
    """Read every document of *file*; one whose outside is too broken is lost."""
    parsed, found = parse(file.text, file.path)
    lost = [] if parsed or not found else [Lost(file.organization)]
    found += _plain_secrets(file)
    documents = []
    for item in parsed:
        document, problems_ = _document(item, file, kinds)
        for problem in problems_:
            at = places.find(item.place, problem.path, key=problem.at == "key")
            mark = places.mark(file.path, at)
            found.append(
                Diagnostic(Severity.ERROR, problem.code, problem.message, mark, problem.hint)
            )
        if document is not None:
            documents.append(document)
        else:
            lost.append(_lost(item.value, file))
    return documents, lost, found


def _lost(value: object, file: SpecFile) -> Lost:
    metadata = value if isinstance(value, Mapping) else {}
    organization, name = _metadata(metadata, "organization"), _metadata(metadata, "name")
    return Lost(
        organization if isinstance(organization, str) else file.organization,
        name if isinstance(name, str) else None,
    )


def _document(
    item: ParsedDocument, file: SpecFile, kinds: frozenset[str]
) -> tuple[Document | None, list[Problem]]:
    value = item.value
    if not isinstance(value, dict):
        message = f"a document is a mapping, not {shown(value)}"
        return None, [Problem("SPE101", message, hint="apiVersion, kind, metadata, spec")]
    found: list[Problem] = []
    labels: Mapping[str, str] = {}
    try:
        labels = Envelope.model_validate(value).metadata.labels
    except ValidationError as error:
        found += problems(error, Envelope)
    found += _version(value)
    found += _kind(value, kinds)
    organization, more = _organization(value, file)
    found += more
    kind, name, spec = value.get("kind"), _metadata(value, "name"), value.get("spec")
    usable = isinstance(name, str) and isinstance(spec, dict) and kind in kinds
    if not usable or organization is None:
        return None, found
    moved = _metadata(value, "movedFrom")
    document = Document(
        api_version=API_VERSION,
        kind=str(kind),
        organization=organization,
        name=str(name),
        path=file.path,
        place=item.place,
        spec=spec if isinstance(spec, dict) else {},
        labels=dict(labels),
        moved_from=moved if isinstance(moved, str) and moved != name else None,
    )
    return document, found


def _metadata(value: Mapping[str, Any], word: str) -> object:
    metadata = value.get("metadata")
    return as_written(metadata.get(word)) if isinstance(metadata, Mapping) else None


def _version(value: Mapping[str, Any]) -> Iterator[Problem]:
    version = as_written(value.get("apiVersion"))
    if isinstance(version, str) and version != API_VERSION:
        message = f'unknown apiVersion "{version}"'
        yield Problem("SPE107", message, ("apiVersion",), hint=f'write "{API_VERSION}"')


def _kind(value: Mapping[str, Any], kinds: frozenset[str]) -> Iterator[Problem]:
    kind = as_written(value.get("kind"))
    if isinstance(kind, str) and kind not in kinds:
        hint = did_you_mean(kind, sorted(kinds), "kinds: " + ", ".join(sorted(kinds)))
        yield Problem("SPE108", f'unknown kind "{kind}"', ("kind",), hint=hint)


def _organization(value: Mapping[str, Any], file: SpecFile) -> tuple[str | None, list[Problem]]:
    """Find the organization: written down, or that of the folder, or an Organization's own."""
    path: Path = ("metadata", "organization")
    written, folder = _metadata(value, "organization"), file.organization
    name = _metadata(value, "name")
    if value.get("kind") == "Organization" and isinstance(name, str):
        if folder is not None and name != folder:
            message = f'this folder belongs to organization "{folder}", not "{name}"'
            return name, [Problem("SPE111", message, ("metadata", "name"))]
        if isinstance(written, str) and written != name:
            message = "an Organization belongs to itself: leave metadata.organization out"
            return name, [Problem("SPE111", message, path)]
        return name, []
    if isinstance(written, str):
        if folder is not None and written != folder:
            message = f'this folder belongs to organization "{folder}", not "{written}"'
            hint = f"move the file to organizations/{written}/, or leave metadata.organization out"
            return written, [Problem("SPE111", message, path, hint=hint)]
        return written, []
    if folder is None:
        hint = "add metadata.organization, or move the file below organizations/<organization>/"
        message = "it is not said to which organization this belongs"
        return None, [Problem("SPE110", message, ("metadata",), hint=hint, at="key")]
    problem = name_problem(folder)
    if problem is not None:
        message = f'the folder name "{folder}" is not the name of an organization'
        return folder, [Problem("SPE109", message, hint=problem.hint)]
    return folder, []


def _plain_secrets(file: SpecFile) -> list[Diagnostic]:
    """Find issued keys anywhere in the text, comments included; they are never repeated."""
    found: list[Diagnostic] = []
    at = find_token(file.text)
    while at is not None and len(found) < 20:
        start = file.text.rfind("\n", 0, at) + 1
        line = file.text.count("\n", 0, at)
        mark = places.mark(file.path, (line << places.SHIFT) | (at - start))
        hint = "take it out of the history too, have a new one issued, and refer to it by secretRef"
        found.append(Diagnostic(Severity.ERROR, "CRE101", UNNAMED, mark, hint))
        end = file.text.find("\n", at)
        at = find_token(file.text, end) if end >= 0 else None
    return found
