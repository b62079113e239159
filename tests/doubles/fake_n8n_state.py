"""What a `FakeN8n` holds. Records are never changed in place, so a snapshot is a shallow copy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.doubles.fake_n8n_executions import Outcome

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One saved state of a workflow's nodes."""

    id: str
    nodes: list[dict[str, Any]]
    connections: dict[str, Any]
    created_at: str
    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A workflow: *version_id* is its draft, *active_id* what n8n says is published, *live_id* what answers."""

    id: str
    name: str
    settings: dict[str, Any]
    version_id: str
    versions: dict[str, Version]
    created_at: str
    updated_at: str
    description: str | None = None
    active_id: str | None = None
    live_id: str | None = None
    archived: bool = False
    trigger_count: int = 0
    counter: int = 1
    static_data: Any = None
    pin_data: Any = None
    node_groups: list[Any] = field(default_factory=list)

    @property
    def draft(self) -> Version:
        return self.versions[self.version_id]

    @property
    def active(self) -> Version | None:
        return None if self.active_id is None else self.versions[self.active_id]

    @property
    def live(self) -> Version | None:
        return None if self.live_id is None else self.versions[self.live_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A credential with its secret data, which no answer ever contains."""

    id: str
    name: str
    type: str
    data: dict[str, Any]
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A run of a workflow; *item* is what its first node gave, *last* the node it ends with."""

    id: str
    workflow_id: str
    version_id: str
    at: str
    begun: float
    body: Any
    mode: str
    node: str
    item: dict[str, Any]
    last: str
    outcome: Outcome
    status: str = "running"
    stopped_at: str | None = None


@dataclass(slots=True)
class State:
    """Everything that a snapshot keeps."""

    workflows: dict[str, Workflow] = field(default_factory=dict)
    credentials: dict[str, Credential] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    hooks: dict[tuple[str, str], str] = field(default_factory=dict)  # live: (method, path) -> id
    pending: dict[str, int] = field(default_factory=dict)  # workflow id -> call number
    clock: int = 0
    made: int = 0
    executed: int = 0
    calls: int = 0

    def copy(self) -> State:
        return replace(
            self,
            workflows=dict(self.workflows),
            credentials=dict(self.credentials),
            executions=dict(self.executions),
            hooks=dict(self.hooks),
            pending=dict(self.pending),
        )

    def now(self) -> str:
        """Give a later time than ever before."""
        self.clock += 1
        moment = _EPOCH + timedelta(milliseconds=self.clock)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"

    def new_id(self, seed: int) -> str:
        """Make an id of 16 letters and digits that says nothing of its age."""
        number = int.from_bytes(self._bytes(seed))
        digits = []
        for _ in range(16):
            number, digit = divmod(number, len(_DIGITS))
            digits.append(_DIGITS[digit])
        return "".join(digits)

    def new_uuid(self, seed: int) -> str:
        """Make an id that looks like a UUID."""
        text = self._bytes(seed).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:32]}"

    def _bytes(self, seed: int) -> bytes:
        self.made += 1
        return hashlib.blake2b(f"{seed}:{self.made}".encode(), digest_size=16).digest()
