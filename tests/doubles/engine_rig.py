"""The real engine with the real kinds on a `FakeN8n` and a `MemoryLedger`, one process at a time."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.clock import Clock
from reconciler.engine.apply import Applier
from reconciler.engine.compile import Compiled, compile_specs
from reconciler.engine.facts import SpecFacts
from reconciler.engine.observe import Observer, bind
from reconciler.engine.outcome import Report
from reconciler.engine.safe import Safe
from reconciler.kinds.automation import AutomationSpec
from reconciler.kinds.automation_kind import AutomationKind
from reconciler.kinds.kind import Built, Facts, Kinds
from reconciler.kinds.models import MODELS
from reconciler.kinds.registry import KINDS
from reconciler.plan.change import Plan
from reconciler.plan.guard import Policy, guard
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.state import World
from reconciler.resource.address import Address
from reconciler.resource.payload import Object
from reconciler.spec.document import Document
from reconciler.spec.link import Loaded, Resource, Workflow, model_resources
from reconciler.vault.keyring import Keyring
from reconciler.vault.secret import Secret
from reconciler.vault.secrets import SecretMissing
from reconciler.workflow.catalog import shipped_catalog
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fate import Fate, FatedApi
from tests.doubles.memory_ledger import MemoryKeys, MemoryLedger

TRAITS = {name: kind.traits for name, kind in KINDS.items()}
KEYRING = Keyring.parse("00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANYTHING = Policy(allow_remove=1000)
EVERYTHING = PlanOptions(prune=True)


class StillClock(Clock):
    """A clock that stands still and does not wait."""

    def now(self) -> datetime:
        return NOW

    async def sleep(self, seconds: float) -> None:
        return


def resources(
    organization: str,
    kind: str,
    name: str,
    spec: Mapping[str, object],
    moved_from: str | None = None,
) -> tuple[Resource, ...]:
    """Make the resource of one document, its sugar triggers too, as `reconciler.spec` does."""
    document = Document(
        api_version="reconciler/v1",
        kind=kind,
        organization=organization,
        name=name,
        path=f"{organization}/{name}.yaml",
        place=0,
        spec=spec,
        moved_from=moved_from,
    )
    made, broken, found = model_resources([document], MODELS)
    assert not broken, [d.message for d in found]
    return tuple(_with_workflow(resource) for resource in made)


def _with_workflow(resource: Resource) -> Resource:
    source = resource.spec.workflow_source()
    if source is None or source.inline is None:
        return resource
    inline: Object = dict(source.inline)  # type: ignore[arg-type]  # JSON by construction
    workflow = Workflow(
        path=resource.document.path,
        document=inline,
        inline=resource.document,
        prefix=("spec", *source.path),
    )
    return Resource(
        address=resource.address,
        spec=resource.spec,
        document=resource.document,
        prefix=resource.prefix,
        workflow=workflow,
    )


class _RememberingKind(AutomationKind):
    """Builds an automation once: thousands of histories have the same few."""

    def __init__(self) -> None:
        self._built: dict[Any, tuple[Any, Built]] = {}

    def build(self, address: Address, spec: AutomationSpec, facts: Facts) -> Built:
        home = address.organization
        template = facts.spec(Address(home, "Template", spec.workflow.template or ""))
        triggers = facts.triggers(address)
        callable_ = tuple(
            name
            for name in ("a1", "a2", "a3")
            if facts.spec(Address(home, "Automation", name)) is not None
        )
        key = (address, id(spec), id(template), tuple(id(t) for _, t in triggers), callable_)
        if key not in self._built:
            parts = (spec, template, triggers)  # kept, so that their ids stay theirs
            self._built[key] = parts, super().build(address, spec, facts)
        return self._built[key][1]


_REMEMBERING: Kinds = {**KINDS, "Automation": _RememberingKind()}


@dataclass(slots=True)
class EngineRig:
    """Two servers that outlive any process, and what one process needs to work on them."""

    fake: FakeN8n = field(default_factory=FakeN8n)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    environ: dict[str, str] = field(default_factory=dict)
    keyring: Keyring | None = KEYRING
    made: int = 0
    api: FatedApi = field(init=False)

    def __post_init__(self) -> None:
        self.api = FatedApi(self.fake)

    def begin(self, fate: Fate | None = None) -> None:
        """Start another process, which may be struck by *fate*."""
        self.ledger.fate = self.api.fate = fate or Fate()

    def new_id(self) -> str:
        self.made += 1
        return f"r{self.made:07d}{'x' * 16}"

    async def safe(self, wanted: Iterable[Resource]) -> Safe:
        """Open the vault of this process; variables that are not set are missing."""
        del wanted
        safe = Safe(keyring=self.keyring, data_keys=self.keys)
        for name in ("S1", "S2", "S3"):
            value = self.environ.get(name)
            missing = SecretMissing(f"environment variable {name} is not set")
            safe.found[f"env {name}"] = missing if value is None else Secret(value)
        await safe.open_known(await self.ledger.recorded())
        return safe

    async def compiled(self, wanted: tuple[Resource, ...], safe: Safe) -> Compiled:
        facts = SpecFacts(
            loaded=Loaded(resources=wanted, index={r.address: r for r in wanted}),
            catalog=shipped_catalog(),
            public_url="https://hooks.example",
            secrets=safe.facts(),
        )
        return compile_specs(wanted, facts, _REMEMBERING)

    async def plan(
        self,
        wanted: tuple[Resource, ...],
        options: PlanOptions = EVERYTHING,
        policy: Policy = ANYTHING,
        organizations: frozenset[str] = frozenset(),
    ) -> tuple[Plan, World]:
        """Observe and plan as the command line does; writes nothing."""
        reading = await Observer(kinds=KINDS, api=self.api, ledger=self.ledger).read()
        safe = await self.safe(wanted)
        compiled = await self.compiled(wanted, safe)
        assert compiled.ok, [d.message for d in compiled.diagnostics if d.is_error]
        homes = frozenset(r.address.organization for r in wanted)
        world = bind(
            reading,
            compiled.desired,
            KINDS,
            readers=safe.reader,
            organizations=homes | organizations,
        )
        return guard(make_plan(world, TRAITS, options), world, policy), world

    async def apply(
        self,
        plan: Plan,
        world: World,
        wanted: tuple[Resource, ...] = (),
        concurrency: int = 4,
        still_ours: Callable[[], Awaitable[None]] | None = None,
    ) -> Report:
        """Carry a plan out."""
        applier = Applier(
            kinds=KINDS,
            api=self.api,
            ledger=self.ledger,
            secrets=await self.safe(wanted),
            new_id=self.new_id,
            still_ours=still_ours or self.api.fate.pause,
            revision=plan.revision,
            concurrency=concurrency,
            clock=StillClock(),
        )
        return await applier.apply(plan, world)

    async def run(
        self, wanted: tuple[Resource, ...], options: PlanOptions = EVERYTHING
    ) -> tuple[Plan, Report]:
        """Plan and apply."""
        homes = frozenset(address.organization for address in self.ledger.inventory)
        plan, world = await self.plan(wanted, options, organizations=homes)
        return plan, await self.apply(plan, world, wanted)


def mixed(seed: int) -> random.Random | None:
    """Give the order of what runs side by side: 0 is one after the other."""
    return random.Random(seed) if seed else None
