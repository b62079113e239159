"""Documents against each other: addresses, references, organizations, circles of calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.diagnostics import Diagnostic, Mark, Problem, Severity
from reconciler.resource.address import Address
from reconciler.spec.document import Document, Lost
from reconciler.spec.link import Broken, Resource, place
from reconciler.spec.model import Path, Reference, Spec
from reconciler.spec.problems import did_you_mean

MAX_HINTS: Final = 100  # a hint compares a name with all others; beyond that it would take long


def check_documents(documents: Iterable[Document], lost: Sequence[Lost]) -> Iterator[Diagnostic]:
    """Find addresses used twice, names that differ in case only, wrong moves, missing tenants."""
    documents = list(documents)
    first: dict[Address, Document] = {}
    lower: dict[tuple[str, str, str], Document] = {}
    for document in documents:
        address = document.address
        folded = (address.organization.lower(), address.kind, address.name.lower())
        mark = document.mark(("metadata", "name"))
        if address in first:
            where = first[address].mark(("metadata", "name"))
            message = f"{address} is described twice, first at {where}"
            yield _error("REF101", message, mark, "rename one of them, or remove it")
        elif folded in lower:
            other = lower[folded]
            where = other.mark(("metadata", "name"))
            message = f'"{address.name}" and "{other.name}" ({where}) differ in case only'
            yield _error("REF102", message, mark, "rename one of them")
        first.setdefault(address, document)
        lower.setdefault(folded, document)
    yield from _moves(documents, first)
    yield from _tenants(documents, lost)


def _moves(documents: list[Document], known: Mapping[Address, Document]) -> Iterator[Diagnostic]:
    claimed: dict[Address, Document] = {}
    for document in documents:
        if document.moved_from is None:
            continue
        old = Address(document.organization, document.kind, document.moved_from)
        mark = document.mark(("metadata", "movedFrom"))
        if old in known:
            where = known[old].mark(("metadata", "name"))
            message = f"{old} is still there, at {where}"
            yield _error("REF106", message, mark, "remove the old document, or movedFrom")
        elif old in claimed:
            where = claimed[old].mark(("metadata", "movedFrom"))
            message = f"{old} has moved to another document already, at {where}"
            yield _error("REF106", message, mark, "only one document can take its place")
        claimed.setdefault(old, document)


def _tenants(documents: list[Document], lost: Sequence[Lost]) -> Iterator[Diagnostic]:
    tenants = {document.name for document in documents if document.kind == "Organization"}
    missed: set[str] = set()
    for document in documents:
        name = document.organization
        if name in tenants or name in missed or any(item.may_be(name, name) for item in lost):
            continue
        missed.add(name)  # once for each organization, at its first document
        message = f'there is no Organization document called "{name}"'
        hint = did_you_mean(name, sorted(tenants), f"add one: kind: Organization, name: {name}")
        where = document.mark(("metadata",), key=True)
        yield _error("REF105", message, where, hint)


def check_references(
    resources: Sequence[Resource],
    broken: Sequence[Broken],
    documents: Iterable[Document],
    lost: Sequence[Lost],
) -> Iterator[Diagnostic]:
    """Find names that lead to nothing; silent about names that a *lost* document may have."""
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for document in documents:
        names[document.organization, document.kind].add(document.name)
    referring = [(item.document, item.references) for item in broken]
    referring += [
        (item.document, tuple(item.spec.references()))
        for item in resources
        if item.prefix == ("spec",)  # what is inside a document refers to it by itself
    ]
    missing = 0
    for document, references in referring:
        own = document.organization
        for reference in references:
            known = names[own, reference.kind]
            if reference.name in known or any(x.may_be(own, reference.name) for x in lost):
                continue
            missing += 1
            known = known if missing <= MAX_HINTS else set()
            yield place(document, ("spec",), _nowhere(reference, own, known))
    yield from _misfits(resources)


def _misfits(resources: Sequence[Resource]) -> Iterator[Diagnostic]:
    """Find what does not fit the document that it refers to."""
    specs = {item.address: item.spec for item in resources}
    for resource in resources:
        own = resource.address.organization

        def look_up(reference: Reference, own: str = own) -> Spec | None:
            return specs.get(Address(own, reference.kind, reference.name))

        for problem in resource.spec.fit_problems(look_up):
            yield resource.diagnose(problem)


def _nowhere(reference: Reference, organization: str, known: set[str]) -> Problem:
    message = f'{organization} has no {reference.kind} called "{reference.name}"'
    some = ", ".join(sorted(known)[:5])
    otherwise = f"{reference.kind} documents here: {some}" if some else None
    hint = did_you_mean(reference.name, sorted(known), otherwise)
    return Problem("REF103", message, reference.path, hint=hint)


def check_circles(resources: Iterable[Resource]) -> Iterator[Diagnostic]:
    """Find automations that call each other in a circle, each circle once."""
    resources = list(resources)
    by_address = {item.address: item for item in resources}
    calls = {
        item.address: _calls(item, by_address)
        for item in resources
        if item.address.kind == "Automation"
    }
    done: set[Address] = set()
    for start in sorted(calls):
        for circle in _circles(start, calls, done):
            names = " -> ".join(address.name for address in (*circle, circle[0]))
            mark = calls[circle[0]][circle[1 % len(circle)]]
            message = f"these automations call each other in a circle: {names}"
            yield _error("REF104", message, mark, "one of these calls has to go")


def _circles(
    start: Address, calls: Mapping[Address, Mapping[Address, Mark]], done: set[Address]
) -> Iterator[tuple[Address, ...]]:
    """Walk depth first without recursion; a call back into the walked path closes a circle."""
    if start in done:
        return
    path: list[Address] = [start]
    rest = [iter(calls.get(start, ()))]
    while path:
        following = next(rest[-1], None)
        if following is None:
            done.add(path.pop())
            rest.pop()
        elif following in path:
            yield tuple(path[path.index(following) :])
        elif following not in done:
            path.append(following)
            rest.append(iter(calls.get(following, ())))


def _calls(resource: Resource, known: Mapping[Address, Resource]) -> dict[Address, Mark]:
    """Tell which automations *resource* calls, and where it says so."""
    own = resource.address.organization
    found: dict[Address, Mark] = {}
    carrier = resource
    for reference in resource.spec.references():
        address = Address(own, reference.kind, reference.name)
        if reference.kind == "Automation":
            found.setdefault(address, resource.place(reference.path))
        elif reference.kind == "Template":
            carrier = known.get(address, resource)
    if carrier.workflow is not None:
        for path, name in called_names(carrier.workflow.document):
            address = Address(own, "Automation", name)
            if address in known and address not in found:
                found[address] = carrier.workflow.place(path)
    return found


def called_names(workflow: object) -> Iterator[tuple[Path, str]]:
    """Yield the workflows that executeWorkflow nodes name, with the way to each name."""
    nodes = workflow.get("nodes") if isinstance(workflow, Mapping) else None
    for index, node in enumerate(nodes if isinstance(nodes, list) else ()):
        match node:
            case {"type": str(kind), "parameters": {"workflowId": target}} if kind.endswith(
                (".executeWorkflow", ".toolWorkflow")
            ):
                path: Path = ("nodes", index, "parameters", "workflowId")
                if isinstance(target, str):
                    yield path, target
                elif isinstance(target, Mapping) and isinstance(target.get("value"), str):
                    yield (*path, "value"), target["value"]


def _error(code: str, message: str, mark: Mark, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, mark, hint)
