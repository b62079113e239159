"""Where specs come from, by the settings: a folder, or a git branch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from reconciler.engine.conditions import undeclared
from reconciler.engine.outcome import Report
from reconciler.errors import ConfigError, GitUnreachable, RevisionGone
from reconciler.kinds.models import MODELS
from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.settings import Settings
from reconciler.source.load import load
from reconciler.source.mirror import Mirror, Remote
from reconciler.source.sight import Branch
from reconciler.source.watch import Folder
from reconciler.spec.link import Loaded
from reconciler.store.conditions import Conditions
from reconciler.store.database import Database
from reconciler.store.holds import Holds
from reconciler.store.sources import Sources, SourceState


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

    Not for a folder with edits, which no name stands for. Nor where daemons follow a branch: ours need not be part of its history.
    """
    nameless = revision is None or revision.endswith("+")
    if nameless or settings.git_url is not None or not report.whole:
        return
    await Sources(database).applied(str(revision))


async def followed_specs(settings: Settings, source: SourceState) -> Loaded:
    """Load the specs that the daemon follows: of a branch, the last good revision.

    Raises ConfigError, GitUnreachable, or RevisionGone when there is no such folder or branch.
    """
    if settings.git_url is None:
        if not settings.specs.is_dir():
            message = f"there is no spec folder {settings.specs}"
            raise RevisionGone(message)
        return load(settings.specs, MODELS)
    specs = specs_of(settings)
    if source.good is not None:
        try:
            return (await specs.at(source.good)).loaded
        except RevisionGone:  # another machine saw it, and the branch leads elsewhere now
            return (await specs.look()).loaded
    return (await specs.look()).loaded


async def no_longer_declared(
    database: Database, settings: Settings, recorded: Mapping[Address, Recorded]
) -> frozenset[Address]:
    """Tell which of what is *recorded* no document declares any more, so that it is left alone.

    By the specs, or those of a rollback, for the organizations that they declare. Of the others
    they say nothing: those may be declared in another folder. There, and where the specs can't be
    read, it is what a daemon noted at its last look.
    """
    pins = [h.pinned for h in await Holds(database, new_id=str).open() if h.pinned is not None]
    noted = undeclared(await Conditions(database).load())
    try:
        if pins:
            loaded = (await specs_of(settings).at(pins[-1])).loaded
        else:
            loaded = await followed_specs(settings, await Sources(database).load())
    except (ConfigError, GitUnreachable, RevisionGone):
        return noted
    if not loaded.ok:
        return noted
    homes = {resource.address.organization for resource in loaded.resources}
    declared = {address for r in loaded.resources for address in (r.address, r.moved_from)}
    elsewhere = {address for address in noted if address.organization not in homes}
    here = {address for address in recorded if address.organization in homes}
    return frozenset((here - declared) | elsewhere)


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()
