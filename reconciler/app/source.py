"""Where specs come from, by the settings: a folder, or a git branch."""

from __future__ import annotations

from pathlib import Path

from reconciler.engine.outcome import Report
from reconciler.kinds.models import MODELS
from reconciler.settings import Settings
from reconciler.source.mirror import Mirror, Remote
from reconciler.source.sight import Branch
from reconciler.source.watch import Folder
from reconciler.store.database import Database
from reconciler.store.sources import Sources


def specs_of(settings: Settings) -> Branch | Folder:
    """Give the place that specs come from: a git branch where one is set, else the folder.

    Raises ConfigError for a URL, a branch or a folder that git must not be asked for.
    """
    if settings.git_url is None:
        return Folder(settings.specs, MODELS)
    token = settings.git_token
    remote = Remote(
        url=settings.git_url,
        branch=settings.git_branch,
        folder=settings.git_path,
        token=token.get_secret_value() if token else None,
        ssh_key=_absolute(settings.git_ssh_key_file),
        insecure=settings.git_insecure,
    )
    return Branch(Mirror(settings.state, remote), MODELS)


async def note_applied(
    database: Database, settings: Settings, revision: str | None, report: Report
) -> None:
    """Note that *revision* was applied by hand, as a turn would; the lock is still held.

    Not for a folder with edits, which no name stands for: the next commit would seem not to
    follow on it. Nor where daemons follow a branch: ours need not be part of its history.
    """
    nameless = revision is None or revision.endswith("+")
    if nameless or settings.git_url is not None or not report.whole:
        return
    await Sources(database).applied(str(revision))


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()
