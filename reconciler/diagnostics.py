"""What is wrong with a user's file, and where.

A mistake of the user is never a bare exception: it is a `Diagnostic` with a
stable code, a place and, where we have one, a hint. Not here: how diagnostics
are printed (`reconciler.spec.report`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from reconciler.errors import ExitCode, ReconcilerError


class Severity(enum.StrEnum):
    """How bad it is: an error stops validate, plan and apply; the others do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file: path as the user knows it, line and column from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding; *code* such as ``AUT104`` is stable and documented."""

    severity: Severity
    code: str
    message: str
    mark: Mark | None = None
    hint: str | None = None

    @property
    def is_error(self) -> bool:
        """Whether this finding stops the command."""
        return self.severity is Severity.ERROR


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding inside a document whose place in the file is not known yet.

    *path* leads to the value from where the check began; *at* says whether the
    value is wrong, its key is, or something is missing in it.
    """

    code: str
    message: str
    path: tuple[str | int, ...] = ()
    hint: str | None = None
    at: Literal["value", "key"] = "value"


class SpecError(ReconcilerError):
    """The user's files are wrong; *diagnostics* says where, all of it."""

    exit_code: ClassVar[ExitCode] = ExitCode.INVALID_SPECS

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        count = sum(d.is_error for d in self.diagnostics)
        super().__init__(f"{count} error{'s' if count != 1 else ''} in the specs")
