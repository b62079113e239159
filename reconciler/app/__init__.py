"""The composition root: settings in, everything wired; the only place that builds adapters.

The command line calls the functions and the `Session` below; nothing else
knows both PostgreSQL and n8n by name.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reconciler.app.ids import new_id as new_id
from reconciler.app.renames import Way, declared, known_anew
from reconciler.app.secrets import STANDINS as STANDINS
from reconciler.app.secrets import environment, secret_sources
from reconciler.app.source import no_longer_declared
from reconciler.clock import SystemClock
from reconciler.diagnostics import SpecError
from reconciler.engine.adopt import Drafts, Names, draft, pretend, require_untouched
from reconciler.engine.apply import Applier, Listener
from reconciler.engine.compile import Compiled, compile_specs
from reconciler.engine.data_keys import StoreDataKeys
from reconciler.engine.facts import SecretFacts, SpecFacts
from reconciler.engine.holding import respect
from reconciler.engine.ledger import StoreLedger
from reconciler.engine.memo import Taken
from reconciler.engine.observe import Observer, Reading, bind
from reconciler.engine.outcome import Report, State
from reconciler.engine.safe import Safe
from reconciler.engine.targets import require_known
from reconciler.engine.unique import block_clashes
from reconciler.errors import ConfigError, ReconcilerError, UsageError
from reconciler.kinds.models import MODELS
from reconciler.kinds.registry import KINDS
from reconciler.n8n.client import Limits, N8n
from reconciler.n8n.instance import taken_paths
from reconciler.plan.artifact import digest_of
from reconciler.plan.change import Plan
from reconciler.plan.guard import Policy, guard
from reconciler.plan.planner import PlanOptions, make_plan
from reconciler.plan.state import World
from reconciler.plan.traits import Traits
from reconciler.resource.address import Address
from reconciler.settings import Settings
from reconciler.source.load import load
from reconciler.source.revision import revision
from reconciler.spec.link import Loaded
from reconciler.store.database import Database
from reconciler.store.inventory import Inventory
from reconciler.store.keys import KeyStore
from reconciler.store.lock import HeldLock, WriterLock
from reconciler.store.operations import Operation, Operations
from reconciler.store.renames import names_before_rollback
from reconciler.store.rows import Rows
from reconciler.vault.keyring import Keyring
from reconciler.vault.secrets import SecretSources
from reconciler.workflow.catalog import shipped_catalog

TRAITS: Mapping[str, Traits] = {name: kind.traits for name, kind in KINDS.items()}


def load_specs(root: Path) -> Loaded:
    """Read and check all spec files below *root*; a missing root is a ConfigError."""
    _require_folder(root)
    return load(root, MODELS)


def existing_root(settings: Settings) -> Path:
    """Give the spec folder; a missing one is a ConfigError."""
    _require_folder(settings.specs)
    return settings.specs


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        message = f"there is no spec folder {root}"
        raise ConfigError(message, hint="`reconciler init` makes one; --specs names another")


def spec_revision(settings: Settings, *, untracked: bool = True) -> str | None:
    """Tell the git commit that the spec folder is at."""
    return revision(settings.specs, untracked=untracked)


def check(loaded: Loaded, settings: Settings, *, notes: bool = False) -> Compiled:
    """Check the specs as far as that is possible without any server."""
    facts = SpecFacts(
        loaded=loaded, catalog=shipped_catalog(), public_url=settings.public_url, notes=notes
    )
    return compile_specs(loaded.resources, facts, KINDS)


# No repr: asyncio.run writes that of its result (twice, as it resets the handler of Ctrl-C), and
# of a world with a thousand workflows it would take longer than the plan.
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Planned:
    """A plan, and the world that it is for."""

    plan: Plan
    world: World
    compiled: Compiled
    reading: Reading
    due: Plan | None = None  # all there is to do, where the plan was kept from before
    way: Way = Way.NEITHER


@dataclass(slots=True, kw_only=True)
class Session:
    """PostgreSQL, n8n and the vault, open for one command."""

    settings: Settings
    database: Database
    api: N8n | None
    safe: Safe
    environ: Mapping[str, str]
    clock: SystemClock = field(default_factory=SystemClock)

    def ledger(self, operation: str | None = None, way: Way = Way.NEITHER) -> StoreLedger:
        """Give the engine its view of PostgreSQL, bound to *operation* for writing."""
        return StoreLedger(
            Inventory(self.database, new_id=new_id),
            Rows(self.database, new_id=new_id),
            Operations(self.database),
            self.clock,
            operation,
            back=way is Way.BACK,
        )

    async def observe(self) -> Reading:
        """Read PostgreSQL and n8n."""
        return await Observer(kinds=KINDS, api=self.api, ledger=self.ledger()).read()

    async def compile(
        self, loaded: Loaded, reading: Reading, also_ours: frozenset[str] = frozenset()
    ) -> Compiled:
        """Build what the specs ask for, with secrets as fingerprints."""
        await self.safe.read(self.sources(), loaded.resources)
        return self.build(loaded, self.safe.facts(), taken_by_others(reading, also_ours))

    def build(self, loaded: Loaded, secrets: SecretFacts, taken: Taken) -> Compiled:
        """Do the same after the secrets were read."""
        facts = SpecFacts(
            loaded=loaded,
            catalog=shipped_catalog(),
            public_url=self.settings.public_url,
            secrets=secrets,
            taken=taken,
        )
        return compile_specs(loaded.resources, facts, KINDS)

    async def plan(
        self, loaded: Loaded, options: PlanOptions, policy: Policy, only: frozenset[str]
    ) -> Planned:
        """Observe, compile and plan for the organizations *only* (none: all); writes nothing."""
        reading = await self.observe()
        await self.safe.open_known(reading.recorded)
        compiled = await self.compile(loaded, reading)
        compiled = known_anew(compiled, reading, await names_before_rollback(self.database))
        planned = self.weigh(reading, compiled, options, policy, only)
        return replace(planned, plan=await respect(planned.plan, self.database))

    def weigh(
        self,
        reading: Reading,
        compiled: Compiled,
        options: PlanOptions,
        policy: Policy,
        only: frozenset[str],
    ) -> Planned:
        """Plan with what was read and compiled."""
        known = (*compiled.desired, *reading.recorded)
        homes = frozenset(address.organization for address in known)
        world = bind(
            reading,
            compiled.desired,
            KINDS,
            readers=self.safe.reader,
            organizations=only or homes,
        )
        world = block_clashes(world)
        require_known(options.targets, world)
        plan = guard(make_plan(world, TRAITS, options), world, policy)
        return Planned(plan=plan, world=world, compiled=compiled, reading=reading)

    async def drift(self, options: PlanOptions) -> Planned:
        """Compare what was applied and is still declared with what is there; writes nothing."""
        reading = await self.observe()
        left = await no_longer_declared(self.database, self.settings, reading.recorded)
        await self.safe.open_known(reading.recorded)
        homes = frozenset(address.organization for address in reading.recorded)
        world = bind(reading, {}, KINDS, readers=self.safe.reader, organizations=homes)
        require_known(options.targets, world)
        plan = make_plan(world, TRAITS, replace(options, undeclared=left))
        nothing = Compiled(desired={}, diagnostics=())
        return Planned(plan=plan, world=world, compiled=nothing, reading=reading)

    async def read_secrets(self, loaded: Loaded) -> None:
        """Read the secrets that the specs name, for writing them again."""
        await self.safe.read(self.sources(), loaded.resources)

    async def carry_out(
        self, planned: Planned, held: HeldLock, listen: Listener, kind: str = "apply"
    ) -> Report:
        """Apply a plan under the lock that is *held*, and keep a record of it as a *kind*."""
        operations = Operations(self.database)
        plan = planned.plan
        operation = await operations.begin(
            id=new_id(),
            kind=kind,
            actor=actor(),
            host=socket.gethostname(),
            git_revision=plan.revision,
            plan_digest=digest_of(plan),
            organizations=sorted(plan.scope.organizations),
        )

        async def still_ours() -> None:
            held.check()

        applier = Applier(
            kinds=KINDS,
            api=self.api,
            ledger=self.ledger(operation, planned.way),
            secrets=self.safe,
            new_id=new_id,
            still_ours=still_ours,
            revision=plan.revision,
            label=f"reconciler {plan.revision or 'apply'}",
            concurrency=self.settings.concurrency,
        )
        try:
            report = await applier.apply(plan, planned.world, listen, planned.due)
        except BaseException:
            with suppress(ReconcilerError):
                await operations.finish(operation, "interrupted", {})
            raise
        summary: dict[str, Any] = {state.value: report.count(state) for state in State}
        summary["whole"] = report.whole
        if report.whole and planned.way is Way.FORWARD and plan.scope.targets is None:
            summary["forward"] = sorted(declared(planned.compiled) & plan.scope.organizations)
        await operations.finish(operation, report.outcome, summary)
        return report

    async def drafts(
        self, loaded: Loaded, wanted: frozenset[str] | None, organization: str, owner: str | None
    ) -> Drafts:
        """Write (in memory) the spec files of workflows that exist in n8n and are not ours."""
        reading = await self.observe()
        home = Address(organization, "Organization", organization)
        entry = reading.recorded.get(home)
        if entry is None or entry.removed or loaded.resource(home) is None:
            message = f"the organization {organization} is not applied yet"
            raise ConfigError(message, hint="declare it in the spec folder and `reconciler apply`")
        facts = SpecFacts(loaded=loaded, catalog=shipped_catalog(), public_url="")
        person = owner or facts.administrator(organization)
        if person is None:
            message = f"the organization {organization} has no ADMIN"
            raise UsageError(message, hint="name one with --owner")
        taken = {resource.address for resource in loaded.resources} | set(reading.recorded)
        names = Names(organization=organization, owner=person, taken=taken)
        return draft(reading, names, wanted, shipped_catalog())

    async def adopt(self, drafts: Drafts, loaded: Loaded, held: HeldLock) -> Report:
        """Record drafts whose files are in *loaded* now; n8n is only read.

        Raises SpecError when the files are not valid, ConflictError when what they ask for is not
        what n8n holds.
        """
        reading = await self.observe()
        await self.safe.open_known(reading.recorded)
        theirs = frozenset(id_ for d in drafts.adopted for id_ in d.ids.values())
        compiled = await self.compile(loaded, reading, theirs)
        if not compiled.ok:
            raise SpecError(compiled.diagnostics)
        pretended = pretend(reading, drafts, compiled.desired, new_id)
        addresses = frozenset(a for d in drafts.adopted for a in d.ids)
        world = bind(
            pretended,
            compiled.desired,
            KINDS,
            readers=self.safe.reader,
            organizations=frozenset(a.organization for a in addresses),
        )
        options = PlanOptions(targets=addresses, revision=spec_revision(self.settings))
        plan = make_plan(world, TRAITS, options)
        require_untouched(plan)
        planned = Planned(plan=plan, world=world, compiled=compiled, reading=pretended)
        return await self.carry_out(planned, held, lambda _: None)

    async def operations(self, count: int) -> list[Operation]:
        """Tell the last operations, newest first."""
        return await Operations(self.database).recent(count)

    def lock(self, operation: str) -> WriterLock:
        """Make the lock that lets one writer in at a time."""
        return WriterLock(
            self.database,
            actor=actor(),
            host=socket.gethostname(),
            process_id=os.getpid(),
            operation=operation,
        )

    def sources(self) -> SecretSources:
        """Say where secrets may be read from."""
        return secret_sources(self.settings, self.environ)


def taken_by_others(reading: Reading, also_ours: frozenset[str] = frozenset()) -> Taken:
    """Tell which webhooks (method, path) workflows of others listen to."""
    ours = also_ours | {e.object_id for e in reading.recorded.values() if e.object_id}
    return frozenset(taken_paths(reading.objects.get("workflows", ()), ours))


def actor() -> str:
    """Tell who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        return f"uid {os.getuid()}"


@asynccontextmanager
async def open_session(
    settings: Settings, *, needs_n8n: bool = True, needs_key: bool = False
) -> AsyncIterator[Session]:
    """Connect to what the settings name; raises ConfigError or UnreachableError."""
    ring = keyring(settings)
    if ring is None and needs_key:
        message = "ENCRYPTION_KEY is not set"
        raise ConfigError(message, hint="set ENCRYPTION_KEY or ENCRYPTION_KEY_FILE")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        api: N8n | None = None
        if needs_n8n:
            api = await stack.enter_async_context(open_n8n(settings))
        yield Session(
            settings=settings,
            database=database,
            api=api,
            safe=Safe(keyring=ring, data_keys=StoreDataKeys(KeyStore(database))),
            environ=environment(settings),
        )


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Connect to PostgreSQL and check that its schema is ours."""
    if settings.database_url is None:
        message = "no database is configured"
        raise ConfigError(message, hint="run `reconciler up`, or set DATABASE_URL")
    url = settings.database_url.get_secret_value()
    async with Database(url, pool_size=max(4, settings.concurrency)) as database:
        await database.ready()
        yield database


def open_n8n(settings: Settings) -> N8n:
    """Make the client for the n8n that the settings name; raises ConfigError without one."""
    if settings.n8n_url is None or settings.n8n_api_key is None:
        missing = "N8N_URL" if settings.n8n_url is None else "N8N_API_KEY"
        message = f"no n8n is configured: {missing} is not set"
        raise ConfigError(message, hint="run `reconciler up`, or set N8N_URL and N8N_API_KEY")
    return N8n(
        settings.n8n_url,
        settings.n8n_api_key.get_secret_value(),
        limits=Limits(
            read=settings.n8n_timeout,
            total=settings.n8n_timeout * 3,
            concurrency=settings.concurrency,
        ),
    )


def keyring(settings: Settings) -> Keyring | None:
    """Read ENCRYPTION_KEY and its predecessors; None when it is not set."""
    if settings.encryption_key is None:
        return None
    old = settings.encryption_keys_old
    return Keyring.parse(
        settings.encryption_key.get_secret_value(), old.get_secret_value() if old else ""
    )
