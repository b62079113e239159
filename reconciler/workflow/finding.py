"""What is noteworthy in a workflow's JSON, and where in it. Not here: marks in files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from reconciler.diagnostics import Severity

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One remark; *path* leads into the original JSON, where nodes are a list."""

    path: Path
    code: str  # WFL1xx from normal form, bind, entry and lint; RISK0xx from the scan
    severity: Severity
    message: str
    hint: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether the workflow must not be written as it is."""
        return self.severity is Severity.ERROR


@dataclass(frozen=True, slots=True)
class Dropped:
    """A part of the original JSON that the normal form leaves out, and why."""

    path: Path
    reason: str
    routine: bool = False  # n8n's bookkeeping, in every export: not worth a line to people


@dataclass(slots=True)
class Notes:
    """Collects what is seen on the way; the one mutable thing in this package."""

    findings: list[Finding] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    def error(self, code: str, path: Path, message: str, hint: str | None = None) -> None:
        """Add a finding that forbids writing the workflow."""
        self._add(Severity.ERROR, code, path, message, hint)

    def warn(self, code: str, path: Path, message: str, hint: str | None = None) -> None:
        """Add a finding that people should look at."""
        self._add(Severity.WARNING, code, path, message, hint)

    def note(self, code: str, path: Path, message: str, hint: str | None = None) -> None:
        """Add a finding for those who look for it."""
        self._add(Severity.NOTE, code, path, message, hint)

    def drop(self, path: Path, reason: str, *, routine: bool = False) -> None:
        """Say that the part at *path* is left out."""
        self.dropped.append(Dropped(path, reason, routine))

    def _add(
        self, severity: Severity, code: str, path: Path, message: str, hint: str | None
    ) -> None:
        self.findings.append(
            Finding(path=path, code=code, severity=severity, message=message, hint=hint)
        )


def dotted(path: Path) -> str:
    """Write *path* the way people do, such as ``nodes[2].parameters.url``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the workflow"
