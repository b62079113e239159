"""What a daemon sees when it looks where specs come from: a revision, and what it says.

Not here: folders (`reconciler.source.watch`), nor what is done about it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from reconciler.diagnostics import SpecError
from reconciler.errors import GitUnreachable, RevisionGone
from reconciler.source.mirror import Mirror, label
from reconciler.spec.link import Loaded, Models


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sighting:
    """One revision of the specs; *name* is another one whenever anything in it is."""

    name: str
    revision: str | None  # what records call it; None: no git is involved
    loaded: Loaded
    commit: str | None = None  # the full id, where it is exactly one commit


def fault(sighting: Sighting) -> str | None:
    """Say what keeps a revision from being applied, as far as its files tell; None: nothing."""
    if not sighting.loaded.ok:
        return first_error(SpecError(sighting.loaded.diagnostics))
    if not sighting.loaded.resources:
        return "it holds no spec document"
    return None


def first_error(error: SpecError) -> str:
    """Say in one line what is wrong and where."""
    found = next((d for d in error.diagnostics if d.is_error), None)
    if found is None:
        return str(error)
    where = f"{found.mark}: " if found.mark else ""
    return f"{error}: {where}{found.message} [{found.code}]"


class Specs(Protocol):
    """A place that specs come from."""

    @property
    def place(self) -> str:
        """Name it for people."""

    async def look(self) -> Sighting:
        """See the newest revision; raises GitUnreachable or RevisionGone."""
        raise NotImplementedError

    async def at(self, revision: str) -> Sighting:
        """See an earlier revision by what records call it; raises RevisionGone."""
        raise NotImplementedError

    async def descends(self, sighting: Sighting, ancestor: str) -> bool:
        """Whether *sighting* is, or came after, the revision that records call *ancestor*."""
        raise NotImplementedError

    async def changed(self, seconds: float) -> None:
        """Return when something may have changed, or after *seconds*."""
        raise NotImplementedError


class Branch(Specs):
    """A git branch, through our own mirror of it."""

    def __init__(self, mirror: Mirror, models: Models) -> None:
        """Read what *mirror* holds as specs of *models*."""
        self._mirror = mirror
        self._models = models
        self._last: Sighting | None = None

    @property
    def place(self) -> str:
        """Name it for people."""
        return self._mirror.remote.place

    async def look(self) -> Sighting:
        """Fetch, and read the newest commit unless it was the newest before."""
        commit = await self._mirror.fetch()
        if self._last is None or self._last.commit != commit:
            self._last = await self._see(commit)
        return self._last

    async def at(self, revision: str) -> Sighting:
        """Read an earlier commit; what isn't here is fetched, as far as the branch leads to it."""
        commit = await self._mirror.find(revision)
        if commit is None:
            try:
                await self._mirror.fetch()
            except GitUnreachable as error:
                message = f"the commit {revision} isn't here: {error}"
                raise RevisionGone(message) from error
            commit = await self._mirror.find(revision)
        if commit is None:
            raise RevisionGone(f"the repository has no commit {revision} on its branch")
        if self._last is not None and self._last.commit == commit:
            return self._last
        return await self._see(commit)

    async def descends(self, sighting: Sighting, ancestor: str) -> bool:
        """Whether the history leads from *ancestor* to *sighting*."""
        before = await self._mirror.find(ancestor)
        if sighting.commit is None or before is None:
            return False
        return await self._mirror.descends(sighting.commit, before)

    async def changed(self, seconds: float) -> None:
        """Wait: a branch says nothing by itself."""
        await asyncio.sleep(seconds)

    async def _see(self, commit: str) -> Sighting:
        name = label(commit)
        loaded = await self._mirror.commit(commit).load(self._models)
        return Sighting(name=name, revision=name, loaded=loaded, commit=commit)
