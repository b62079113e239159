"""What the kinds may look at while they build payloads: everything is read before, nothing after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from reconciler.access import Role
from reconciler.diagnostics import Severity
from reconciler.kinds.automation import AutomationSpec, Entry
from reconciler.kinds.kind import Facts
from reconciler.kinds.organization import OrganizationSpec
from reconciler.kinds.template import TemplateSpec
from reconciler.kinds.trigger import TriggerFields, TriggerSpec
from reconciler.resource.address import Address
from reconciler.resource.payload import Json, Sealed
from reconciler.spec.link import Loaded, Resource, Workflow
from reconciler.spec.model import Spec
from reconciler.spec.secretref import SecretRef
from reconciler.workflow.catalog import NodeCatalog
from reconciler.workflow.entry import strip_entry
from reconciler.workflow.finding import Finding
from reconciler.workflow.lint import Target, lint
from reconciler.workflow.normal import Normal, left_out, normalize
from reconciler.workflow.parameters import fill
from reconciler.workflow.risk import scan


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFacts:
    """Which secrets could be read here, by fingerprint only."""

    fingerprint: Callable[[Address, str, SecretRef], str | None] = lambda *_: None
    missing: Callable[[SecretRef], str | None] = lambda _: None
    entry: Callable[[str], str | None] = lambda _: None


@dataclass(slots=True, kw_only=True)
class SpecFacts(Facts):
    """The facts of one loaded spec folder."""

    loaded: Loaded
    catalog: NodeCatalog
    public_url: str
    secrets: SecretFacts = field(default_factory=SecretFacts)
    taken: frozenset[tuple[str, str]] = frozenset()  # (method, path) of strangers' webhooks
    notes: bool = False  # whether anybody wants to read notes
    filled: dict[Address, tuple[Finding, ...]] = field(default_factory=dict)
    _normal: dict[tuple[str, bool], Normal] = field(default_factory=dict)
    _checked: dict[tuple[str, bool], tuple[Finding, ...]] = field(default_factory=dict)
    _documents: dict[Address, Json] = field(default_factory=dict)  # of those who use templates
    _by_address: dict[Address, Resource] = field(default_factory=dict)
    _triggers: dict[Address, list[tuple[str, TriggerFields]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Index the resources once."""
        self._by_address = {r.address: r for r in self.loaded.resources}
        self._triggers = _triggers(self.loaded.resources)

    def seal(self, address: Address, field: str, reference: SecretRef) -> Sealed:
        """Name the secret behind *reference*; its fingerprint is None when it can't be read here."""
        return Sealed(secret_name(reference), self.secrets.fingerprint(address, field, reference))

    def missing(self, reference: SecretRef) -> str | None:
        """Say why the secret can't be read here, if so."""
        return self.secrets.missing(reference)

    def entry_secret(self, organization: str) -> Sealed:
        """Name the secret that n8n's managed entries of *organization* ask for."""
        return Sealed(ENTRY_SECRET, self.secrets.entry(organization))

    def workflow(self, address: Address) -> Json:
        """Give the workflow document of *address*: its file, inline or its filled template."""
        resource = self._by_address[address]
        spec = resource.spec
        if isinstance(spec, AutomationSpec) and spec.workflow.template is not None:
            return self._from_template(address, spec, spec.workflow.template)
        return resource.workflow.document if resource.workflow else None

    def _from_template(self, address: Address, spec: AutomationSpec, name: str) -> Json:
        template = self._by_address.get(Address(address.organization, "Template", name))
        if template is None or template.workflow is None:
            return None
        given = cast("TemplateSpec", template.spec).parameter_values(spec.workflow.parameters)
        values = cast("Mapping[str, Json]", given)
        if address not in self._documents:
            filled = fill(template.workflow.document, values)
            self._documents[address], self.filled[address] = filled
        return self._documents[address]

    def normal(self, address: Address) -> Normal:
        """Give the workflow in normal form; files that several automations name are read once."""
        spec = self._by_address[address].spec
        managed = isinstance(spec, AutomationSpec) and spec.workflow.entry is Entry.MANAGED
        key = (self._file(address), managed)
        found = self._normal.get(key)
        if found is None:
            found = normalize(self.workflow(address))
            if managed:
                # A workflow that was downloaded from n8n after an apply has our entry in it.
                found = replace(found, document=strip_entry(found.document))
            self._normal[key] = found
        return found

    def checked(self, address: Address, *, managed: bool) -> tuple[Finding, ...]:
        """Say what is wrong or noteworthy in the workflow itself, whoever uses it."""
        key = (self._file(address), managed)
        found = self._checked.get(key)
        if found is None and self.workflow(address) is None:
            found = self._checked[key] = ()  # the file is missing, and that was said already
        if found is None:
            found = self._checked[key] = self._check(self.normal(address), managed=managed)
        return found

    def _check(self, normal: Normal, *, managed: bool) -> tuple[Finding, ...]:
        findings = lint(normal, self.catalog, Target(taken=self.taken, managed=managed))
        if normal.is_workflow:
            findings = (*findings, *scan(normal), *left_out(normal))
        if self.notes:
            return findings
        return tuple(f for f in findings if f.severity is not Severity.NOTE)

    def _file(self, address: Address) -> str:
        """Tell what two automations with the same workflow have in common."""
        resource = self._by_address[address]
        shared = resource.workflow is not None and resource.workflow.text is not None
        return resource.workflow.path if shared and resource.workflow else str(address)

    def source(self, address: Address) -> Workflow | None:
        """Tell where the workflow of *address* is written, for placing findings."""
        resource = self._by_address[address]
        if resource.workflow is not None or not isinstance(resource.spec, AutomationSpec):
            return resource.workflow
        name = resource.spec.workflow.template or ""
        template = self._by_address.get(Address(address.organization, "Template", name))
        return template.workflow if template else None

    def administrator(self, organization: str) -> str | None:
        """Tell the e-mail address of the organization's first administrator."""
        home = self._by_address.get(Address(organization, "Organization", organization))
        members = cast("OrganizationSpec", home.spec).members if home else ()
        return next((m.email for m in members if m.role is Role.ADMIN), None)

    def spec(self, address: Address) -> Spec | None:
        """Look up the spec of another resource of the same organization."""
        found = self._by_address.get(address)
        return found.spec if found else None

    def triggers(self, address: Address) -> tuple[tuple[str, TriggerFields], ...]:
        """List the triggers of an automation: its own in order, then separate documents."""
        return tuple(self._triggers.get(address, ()))


ENTRY_SECRET = "entry secret"  # noqa: S105 - the name of a secret, not a secret


def secret_name(reference: SecretRef) -> str:
    """Write what a secret is called in plans and records."""
    if reference.env is not None:
        return f"env {reference.env}"
    return f"file {reference.file}" if reference.file is not None else "age value"


def _triggers(
    resources: Iterable[Resource],
) -> dict[Address, list[tuple[str, TriggerFields]]]:
    found: dict[Address, list[tuple[str, TriggerFields]]] = {}
    apart: dict[Address, list[tuple[str, TriggerFields]]] = {}
    for resource in resources:
        spec, home = resource.spec, resource.address.organization
        if isinstance(spec, AutomationSpec):
            own = [(trigger.name, trigger) for trigger in spec.triggers]
            found.setdefault(resource.address, []).extend(own)
        elif isinstance(spec, TriggerSpec) and "." not in resource.address.name:
            automation = Address(home, "Automation", spec.automation)
            apart.setdefault(automation, []).append((resource.address.name, spec))
    for automation, triggers in apart.items():
        found.setdefault(automation, []).extend(triggers)
    return found
