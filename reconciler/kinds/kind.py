"""What a resource kind must know; a kind is one file in `reconciler.kinds` plus a registry line.

Its plain methods are pure and say *what* should be; its ``async`` methods talk
to n8n through the `Api` port and make it so. Nothing outside that file knows
the kind's columns and endpoints. Rows are written by the store, generically,
from the row side of a payload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

from reconciler.diagnostics import Problem
from reconciler.kinds.trigger import TriggerFields
from reconciler.plan.traits import Traits
from reconciler.resource.address import Address
from reconciler.resource.api import Api
from reconciler.resource.payload import Json, Object, Payload, Ref, Sealed, Side
from reconciler.resource.stamp import Stamp
from reconciler.spec.model import Spec
from reconciler.spec.secretref import SecretRef
from reconciler.workflow.catalog import NodeCatalog
from reconciler.workflow.finding import Finding
from reconciler.workflow.normal import Normal

SpecT = TypeVar("SpecT", bound=Spec)
Row: TypeAlias = Mapping[str, Any]
Encrypt: TypeAlias = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a kind makes of a spec; *findings* are about its workflow, *problems* about the rest."""

    payload: Payload
    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    blocked: str | None = None  # why it can't be written now
    row_id: str | None = None  # where the spec names a row that exists already


class Facts(Protocol):
    """What a kind may look at to say what should be; everything in it is already read."""

    public_url: str
    catalog: NodeCatalog

    def seal(self, address: Address, field: str, reference: SecretRef) -> Sealed:
        """Name the secret behind *reference*; its fingerprint is None when it can't be read here."""
        raise NotImplementedError

    def missing(self, reference: SecretRef) -> str | None:
        """Say why the secret can't be read here, if so."""
        raise NotImplementedError

    def entry_secret(self, organization: str) -> Sealed:
        """Name the secret that n8n's managed entries of *organization* ask for."""
        raise NotImplementedError

    def workflow(self, address: Address) -> Json:
        """Give the workflow document *address* names: its file, inline or its filled template."""
        raise NotImplementedError

    def normal(self, address: Address) -> Normal:
        """Give the same in normal form; shared, so not to be changed."""
        raise NotImplementedError

    def checked(self, address: Address, *, managed: bool) -> tuple[Finding, ...]:
        """Say what is wrong or noteworthy in the workflow itself, whoever uses it."""
        raise NotImplementedError

    def spec(self, address: Address) -> Spec | None:
        """Look up the spec of another resource of the same organization."""
        raise NotImplementedError

    def triggers(self, address: Address) -> tuple[tuple[str, TriggerFields], ...]:
        """List the triggers of an automation, by name, in the order of the documents."""
        raise NotImplementedError


class Unref(Protocol):
    """Turns ids that were read from the servers back into references."""

    def __call__(self, kind: str, side: Side, id_: str) -> Ref | str:
        """Give the reference to the *kind* that bears *id_*, or the id itself for a stranger."""
        raise NotImplementedError


class Reader(Protocol):
    """Opens one stored credential, for comparing only."""

    def open(self, text: str) -> Mapping[str, Json] | None:
        """Decrypt a stored credential; None when it is damaged or sealed for another row."""
        raise NotImplementedError

    def fingerprint(self, field: str, value: str) -> str:
        """Fingerprint one value as `Facts.seal` does."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One resource as the servers show it: its row and its n8n object, either may be missing."""

    address: Address
    row_id: str
    rows: Mapping[str, Row]  # by table; a missing row is absent
    object: Object | None
    unref: Unref
    reader: Reader | None  # None: there is no key here, so the record is trusted
    recorded: Payload  # for what the servers never show
    edited: bool = False  # n8n's object was written by somebody else since we recorded it


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What turning a payload into columns may use."""

    encrypt: Encrypt
    now: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """An object after a write, and what it was before, to be put back if n8n refuses to publish."""

    object: Object
    previous: Object | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An object that is there, as the plan saw it."""

    address: Address
    id: str
    stamp: Stamp | None  # None: take it as it is
    unset: tuple[tuple[str, ...], ...] = ()  # fields of ours that are declared no more


class Kind(Protocol, Generic[SpecT]):
    """One kind of resource."""

    name: ClassVar[str]
    spec: type[SpecT]
    traits: ClassVar[Traits]
    tables: ClassVar[tuple[str, ...]]  # the seed's table that holds its rows, then ours beside it
    collection: ClassVar[str | None]  # n8n's collection that holds its objects
    encrypts: ClassVar[bool]  # whether its columns hold secrets
    keeps_removed: ClassVar[bool]  # whether n8n still has the object after `remove`

    # What should be. Pure.

    def build(self, address: Address, spec: SpecT, facts: Facts) -> Built:
        """Say what PostgreSQL and n8n should hold for *spec*."""
        raise NotImplementedError

    def canonical(self, seen: Seen) -> Payload:
        """Bring what the servers hold into the form that `build` gives."""
        raise NotImplementedError

    def columns(self, row: Object, tools: Tools) -> Mapping[str, Mapping[str, Any]]:
        """Turn the wired row side of a payload into columns, by table."""
        raise NotImplementedError

    def retire(self, row_id: str, payload: Payload) -> Mapping[str, Any]:
        """Say which columns of the first table take a removed row out of use; none: leave it."""
        raise NotImplementedError

    def marker(self, object_: Object) -> str | None:
        """Find the row id (or its mark) that we put into an object we created."""
        raise NotImplementedError

    # Making it so. I/O.

    async def create(self, api: Api, address: Address, body: Object) -> Object:
        """Create the object and return it as n8n answers; nothing else, so that its id is soon known."""
        raise NotImplementedError

    async def update(self, api: Api, known: Known, body: Object) -> Written:
        """Make a *known* object look like *body*; raises LiveChanged when it moved meanwhile."""
        raise NotImplementedError

    async def publish(self, api: Api, written: Written, body: Object, label: str) -> Object:
        """Put live what create or update wrote, named *label*; return the object as it is then."""
        raise NotImplementedError

    async def confirm(self, api: Api, object_: Object, body: Object) -> None:
        """Wait until n8n really serves *object_*; raises DeadlineExceeded when it does not."""
        raise NotImplementedError

    async def remove(self, api: Api, id_: str) -> None:
        """Take the object out of use, so that it can be restored where n8n allows it."""
        raise NotImplementedError

    async def discard(self, api: Api, id_: str) -> None:
        """Delete an object that has been replaced; being gone already is fine."""
        raise NotImplementedError


class RowKind(Kind[SpecT]):
    """A kind that n8n does not know: rows only."""

    collection: ClassVar[str | None] = None
    keeps_removed: ClassVar[bool] = False

    def marker(self, object_: Object) -> str | None:
        """There is nothing in n8n."""
        del object_
        return None

    async def create(self, api: Api, address: Address, body: Object) -> Object:
        """There is nothing in n8n; raises NotImplementedError."""
        raise NotImplementedError

    async def update(self, api: Api, known: Known, body: Object) -> Written:
        """There is nothing in n8n; raises NotImplementedError."""
        raise NotImplementedError

    async def publish(self, api: Api, written: Written, body: Object, label: str) -> Object:
        """There is nothing in n8n; raises NotImplementedError."""
        raise NotImplementedError

    async def confirm(self, api: Api, object_: Object, body: Object) -> None:
        """There is nothing in n8n."""

    async def remove(self, api: Api, id_: str) -> None:
        """There is nothing in n8n."""

    async def discard(self, api: Api, id_: str) -> None:
        """There is nothing in n8n."""


AnyKind: TypeAlias = Kind[Any]
Kinds: TypeAlias = Mapping[str, AnyKind]
