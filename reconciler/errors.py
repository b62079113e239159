"""The exception tree and the exit codes; imports nothing of ours.

::

    ReconcilerError                    exit 1    something we did not foresee
    |- SpecError(diagnostics)          exit 3    the user's files are wrong
    |- ApplyIncomplete                 exit 4    some changes were applied, some were not
    |- GuardRefused                    exit 5    a guard or a policy said no
    |- ConflictError                   exit 6    somebody else was there first
    |  |- LockHeld                               another writer holds the lock
    |  |- StalePlan                              the world moved after the plan
    |  `- LiveChanged                            n8n's object changed after it was read
    |- UnreachableError                exit 7    a server is away or refuses our login
    |  |- DatabaseUnreachable
    |  |- DatabaseTooNew / DatabaseTooOld
    |  |- N8nUnreachable, N8nUnauthorized
    |  `- GitUnreachable
    |- N8nError                        exit 1    n8n answered, and the answer was no
    |  |- N8nInvalid (400), N8nForbidden (403), N8nNotFound (404), N8nConflict (409)
    |  `- N8nUnavailable (429, 5xx)     exit 7   trying again later can help
    |- RevisionGone                    exit 1    a branch or a commit is not there
    |- DeadlineExceeded                exit 8    it took longer than allowed
    |- UsageError                      exit 64   a flag or an argument is wrong
    `- ConfigError                     exit 78   a setting or a key is wrong

Not here: how errors look on a terminal (`reconciler.cli`), nor marks in files
(`reconciler.diagnostics`).
"""

from __future__ import annotations

import enum
from typing import ClassVar


class ExitCode(enum.IntEnum):
    """What a command tells the shell; documented, tested, never changed."""

    OK = 0
    UNEXPECTED = 1
    CHANGES = 2
    INVALID_SPECS = 3
    PARTLY_APPLIED = 4
    REFUSED = 5
    CONFLICT = 6
    UNREACHABLE = 7
    TIMEOUT = 8
    USAGE = 64
    BAD_CONFIGURATION = 78
    INTERRUPTED = 130


class ReconcilerError(Exception):
    """The root of all errors we raise; the message is one sentence without a period."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class ApplyIncomplete(ReconcilerError):
    """Some changes were applied, others failed or were not attempted."""

    exit_code = ExitCode.PARTLY_APPLIED


class GuardRefused(ReconcilerError):
    """A guard or a policy refused the plan."""

    exit_code = ExitCode.REFUSED


class ConflictError(ReconcilerError):
    """Somebody else was there first."""

    exit_code = ExitCode.CONFLICT


class LockHeld(ConflictError):
    """Another writer holds the lock."""


class StalePlan(ConflictError):
    """The world moved on after the plan was made."""


class LiveChanged(ConflictError):
    """An object in n8n changed between the plan and the write."""


class UnreachableError(ReconcilerError):
    """A server we need is away or refuses our login."""

    exit_code = ExitCode.UNREACHABLE


class DatabaseUnreachable(UnreachableError):
    """PostgreSQL does not answer or refuses the login."""


class DatabaseLost(DatabaseUnreachable):
    """The connection broke during a write: the outcome is unknown."""


class DatabaseTooNew(UnreachableError):
    """The database was upgraded by a newer reconciler."""


class DatabaseTooOld(UnreachableError):
    """The database needs `reconciler db upgrade` first."""


class N8nUnreachable(UnreachableError):
    """n8n does not answer, breaks the connection or is too slow.

    *outcome_unknown* is false when nothing can have happened (a read, or a request
    that never left), and true when a write may have been done all the same.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, outcome_unknown: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.outcome_unknown = outcome_unknown


class N8nUnauthorized(UnreachableError):
    """n8n refuses the API key (401)."""


class GitUnreachable(UnreachableError):
    """git is not installed, or the repository does not answer or refuses the login."""


class RevisionGone(ReconcilerError):
    """A branch, a commit or a folder in it is not there."""


class N8nError(ReconcilerError):
    """n8n answered with an error; *status* is its HTTP status, *detail* its own words."""

    def __init__(
        self, message: str, *, status: int, detail: str = "", hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.detail = detail


class N8nInvalid(N8nError):
    """n8n refuses the content (400, 413, 422); trying again will not help."""


class N8nForbidden(N8nError):
    """The key lacks a scope or the feature needs a licence (403)."""


class N8nNotFound(N8nError):
    """No such object in n8n (404)."""


class N8nConflict(N8nError):
    """n8n's state forbids it right now (409)."""


class N8nUnavailable(N8nError):
    """n8n is overloaded or broken (429, 5xx, an answer that is not JSON).

    *retry_after* is in seconds; *outcome_unknown* says that a write may have been done.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        detail: str = "",
        retry_after: float | None = None,
        outcome_unknown: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, status=status, detail=detail, hint=hint)
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown


class DeadlineExceeded(ReconcilerError):
    """It took longer than the caller allowed."""

    exit_code = ExitCode.TIMEOUT


class UsageError(ReconcilerError):
    """The command line is wrong."""

    exit_code = ExitCode.USAGE


class ConfigError(ReconcilerError):
    """A setting, a key or the installation is wrong."""

    exit_code = ExitCode.BAD_CONFIGURATION
