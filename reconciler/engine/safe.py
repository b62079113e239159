"""The vault as one run uses it: secrets that were read, boxes that were opened.

Plans see fingerprints only; plain text leaves this object through `reveal` and
`encrypt`, right before a write. Without a key (a plan in CI, say) everything is
named and nothing can be compared: the record is trusted then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.engine.facts import ENTRY_SECRET, SecretFacts, secret_name
from reconciler.errors import ConfigError
from reconciler.kinds.credential import CredentialSpec, SecretField
from reconciler.kinds.kind import Reader
from reconciler.kinds.trigger import TriggerSpec
from reconciler.kinds.trigger_kind import secret_references
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import Json, Sealed
from reconciler.spec.link import Resource
from reconciler.spec.secretref import SecretRef
from reconciler.vault.data_keys import Box, DataKeys, open_box, unwrap
from reconciler.vault.envelope import EnvelopeError
from reconciler.vault.keyring import Keyring
from reconciler.vault.secret import Secret
from reconciler.vault.secrets import (
    SecretMissing,
    SecretReference,
    SecretSources,
    entry_secret,
    fingerprint,
)

Found = Secret | ConfigError


@dataclass(slots=True)
class Safe:
    """Secrets by name, and one open box per organization."""

    keyring: Keyring | None
    data_keys: DataKeys | None
    found: dict[str, Found] = field(default_factory=dict)
    boxes: dict[str, Box] = field(default_factory=dict)  # by the organization's name

    async def read(self, sources: SecretSources, resources: Iterable[Resource]) -> None:
        """Read every secret that the specs name; what is missing is remembered as missing."""
        await self.read_all(sources, secret_references_of(resources))

    async def read_all(self, sources: SecretSources, references: Iterable[SecretRef]) -> None:
        """Do the same for *references*."""
        for reference in references:
            name = secret_name(reference)
            if name in self.found:
                continue
            try:
                self.found[name] = await sources.read(
                    SecretReference(env=reference.env, file=reference.file, age=reference.age)
                )
            except SecretMissing as missing:
                self.found[name] = missing
            except ConfigError as refused:
                self.found[name] = refused

    async def open_known(self, recorded: Mapping[Address, Recorded]) -> None:
        """Open the boxes of the organizations that have one; makes none."""
        if self.keyring is None or self.data_keys is None:
            return
        for address, entry in recorded.items():
            if address.kind != "Organization" or address.organization in self.boxes:
                continue
            stored = await self.data_keys.load(entry.row_id)
            active = next((key.id for key in stored if key.active), None)
            if active is not None:
                keys = {key.id: unwrap(self.keyring, key) for key in stored}
                masters = tuple(master.raw for master in self.keyring.keys)
                self.boxes[address.organization] = Box(entry.row_id, active, keys, masters)

    async def prepare(self, organization: str, row_id: str) -> None:
        """Open the box of *organization*, making its data key when it has none."""
        if organization in self.boxes:
            return
        if self.keyring is None or self.data_keys is None:
            raise _no_key()
        self.boxes[organization] = await open_box(self.keyring, self.data_keys, row_id)

    def facts(self) -> SecretFacts:
        """Give what payloads may know of secrets."""
        keyring = self.keyring

        def mark(address: Address, name: str, reference: SecretRef) -> str | None:
            value = self.found.get(secret_name(reference))
            if keyring is None or not isinstance(value, Secret):
                return None
            return _mark(keyring, address, name, value)

        def entry(organization: str) -> str | None:
            if keyring is None:
                return None
            value = entry_secret(keyring, organization)
            return fingerprint(keyring, organization, "entry", "value", value)

        return SecretFacts(fingerprint=mark, missing=self._missing, entry=entry)

    def _missing(self, reference: SecretRef) -> str | None:
        value = self.found.get(secret_name(reference))
        return str(value) if isinstance(value, ConfigError) else None

    def reader(self, address: Address, row_id: str) -> Reader | None:
        """Give what opens one stored credential for comparing; None without a key."""
        box = self.boxes.get(address.organization)
        if self.keyring is None or box is None:
            return None
        return _BoxReader(self.keyring, box, address, row_id)

    def reveal(self, address: Address, sealed: Sealed, field: str) -> str:
        """Give the plain text behind *sealed*, the value of *field*.

        Raises ConfigError when it is not set, or when it is another one than *sealed* means: what
        is recorded must be what was written.
        """
        if self.keyring is None:
            raise _no_key()
        if sealed.name == ENTRY_SECRET:
            return entry_secret(self.keyring, address.organization).reveal()
        value = self.found.get(sealed.name)
        if isinstance(value, Secret):
            if sealed.fingerprint not in {None, _mark(self.keyring, address, field, value)}:
                message = f"{address}: the secret {sealed.name} has another value than was planned"
                raise ConfigError(message, hint="plan again; a repair needs the value as applied")
            return value.reveal()
        if value is not None:
            raise replace_error(value, address)
        message = f"{address}: the secret {sealed.name} was not read"
        raise ConfigError(message)

    def encrypt(self, address: Address, row_id: str, text: str) -> str:
        """Put *text* into the envelope of the row *row_id*."""
        return self.boxes[address.organization].seal(row_id, text)


@dataclass(frozen=True, slots=True)
class _BoxReader(Reader):
    keyring: Keyring
    box: Box
    address: Address
    row_id: str

    def open(self, text: str) -> Mapping[str, Json] | None:
        try:
            data = json.loads(self.box.open(self.row_id, text))
        except (EnvelopeError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def fingerprint(self, field: str, value: str) -> str:
        return _mark(self.keyring, self.address, field, Secret(value) if value else Secret(" "))


def _mark(keyring: Keyring, address: Address, field: str, value: Secret) -> str:
    return fingerprint(keyring, address.organization, address.kind, field, value)


def replace_error(error: ConfigError, address: Address) -> ConfigError:
    """Say at which resource a secret is missing."""
    return ConfigError(f"{address}: {error}", hint=error.hint)


def environment_names(resources: Iterable[Resource]) -> tuple[str, ...]:
    """Name the environment variables that the specs take secrets from."""
    names = {ref.env for ref in secret_references_of(resources) if ref.env is not None}
    return tuple(sorted(names))


def secret_references_of(resources: Iterable[Resource]) -> Iterable[SecretRef]:
    """Yield every reference to a secret in the specs."""
    for resource in resources:
        spec = resource.spec
        if isinstance(spec, CredentialSpec):
            yield from (v.secret_ref for v in spec.data.values() if isinstance(v, SecretField))
        elif isinstance(spec, TriggerSpec):
            yield from secret_references(spec.auth)


def _no_key() -> ConfigError:
    return ConfigError(
        "ENCRYPTION_KEY is not set",
        hint="set ENCRYPTION_KEY (64 hex digits) or ENCRYPTION_KEY_FILE;"
        " `reconciler up` makes one for this folder",
    )
