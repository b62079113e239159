"""From checked documents to desired resources; all that is wrong is said at once.

What strangers do in n8n blocks the one resource that it stands in the way of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.diagnostics import Diagnostic
from reconciler.engine.facts import SpecFacts
from reconciler.engine.unique import clashes
from reconciler.kinds.kind import Kinds
from reconciler.plan.state import Desired
from reconciler.resource.address import Address
from reconciler.spec.link import Resource
from reconciler.workflow.finding import Finding
from reconciler.workflow.lint import TAKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What the specs ask for, and what is to be said about them."""

    desired: dict[Address, Desired]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing stops a plan."""
        return not any(d.is_error for d in self.diagnostics)


def compile_specs(resources: Iterable[Resource], facts: SpecFacts, kinds: Kinds) -> Compiled:
    """Build the payload of each resource and check its workflow before anything is written."""
    desired: dict[Address, Desired] = {}
    diagnostics: list[Diagnostic] = list(facts.loaded.diagnostics)
    for resource in resources:
        address = resource.address
        built = kinds[address.kind].build(address, resource.spec, facts)
        stranger, found = _apart(built.findings)
        findings = (*facts.filled.get(address, ()), *found)
        diagnostics += [resource.diagnose(problem) for problem in built.problems]
        diagnostics += _placed(resource, findings, facts)
        desired[address] = Desired(
            address=address,
            payload=built.payload,
            protected=resource.spec.is_protected(),
            moved_from=resource.moved_from,
            blocked=built.blocked or stranger,
            row_id=built.row_id,
            mark=resource.mark,
        )
    diagnostics += clashes(desired.values())
    unique = dict.fromkeys(diagnostics)
    ordered = sorted(unique, key=lambda d: (d.mark is None, d.mark, d.code, d.message))
    return Compiled(desired=desired, diagnostics=tuple(ordered))


def _apart(findings: Iterable[Finding]) -> tuple[str | None, list[Finding]]:
    """Take out what is no mistake of the specs: it may end as it began, and concerns one resource."""
    found = list(findings)
    live = [finding for finding in found if finding.code == TAKEN]
    reason = next((f"{one.message}: {one.hint}" for one in live if one.is_error), None)
    return reason, [finding for finding in found if finding.code != TAKEN]


def _placed(
    resource: Resource, findings: Iterable[Finding], facts: SpecFacts
) -> Iterable[Diagnostic]:
    workflow = facts.source(resource.address)
    for finding in findings:
        if workflow is None:
            yield Diagnostic(
                finding.severity, finding.code, finding.message, resource.mark, finding.hint
            )
        else:
            yield workflow.diagnose(finding)
