"""A spec folder that somebody works in: looked at when it changes, read when it has come to rest.

The system reports changes where it can; the marks of all files (size, time) and the commit that is
checked out are compared in any case: a commit that changes no file is a revision, too. Files that are being written, and a git that is at work, are waited for. Not here: reading
the files (`reconciler.source.files`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from reconciler.errors import RevisionGone
from reconciler.log import get_logger
from reconciler.source.commits import Commit
from reconciler.source.git import Git, run
from reconciler.source.load import load
from reconciler.source.mirror import descends, label, resolve
from reconciler.source.revision import head_of, revision
from reconciler.source.sight import Sighting, Specs
from reconciler.spec.link import Loaded, Models

_log = get_logger("specs")
QUIET: Final = 0.5  # seconds without a change before files are read
PATIENCE: Final = 30.0  # seconds until a folder that never rests is read all the same
_SECONDS: Final = 20.0  # for git to say where it keeps things
Marks: TypeAlias = Mapping[str, tuple[int, int, int]]
Seen: TypeAlias = tuple[Marks, str | None]  # files, and the commit that is checked out


class Folder(Specs):
    """A folder below which people edit spec files."""

    def __init__(self, root: Path, models: Models, *, quiet: float = QUIET) -> None:
        """Watch *root*; it is read after *quiet* seconds without a change."""
        self._root = root
        self._models = models
        self._quiet = quiet
        self._seen: Seen | None = None
        self._last: Sighting | None = None
        self._moved: tuple[int, int] | None = None  # the journal of git's HEAD, at the last look
        self._stirred = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @property
    def place(self) -> str:
        """Name it for people."""
        return f"{self._root}/"

    async def look(self) -> Sighting:
        """Read the folder when it has come to rest, unless it is as it was."""
        self._moved = await asyncio.to_thread(_journal_of, self._root)
        seen = await self._rest()
        while self._last is None or seen != self._seen:
            loaded = await asyncio.to_thread(load, self._root, self._models)
            sighting = await self._sighting(loaded)
            if await self._see() != seen:
                seen = await self._rest()
                continue
            self._seen, self._last = seen, sighting
        return self._last

    async def at(self, revision: str) -> Sighting:
        """Read an earlier commit of the repository that the folder lies in; nothing is written."""
        git, prefix = await self._repository()
        commit = await resolve(git, revision)
        if commit is None:
            raise RevisionGone(f"the repository of {self._root} has no commit {revision}")
        name = label(commit)
        loaded = await Commit(git=git, id=commit, folder=prefix).load(self._models)
        return Sighting(name=name, revision=name, loaded=loaded, commit=commit)

    async def descends(self, sighting: Sighting, ancestor: str) -> bool:
        """Whether the history leads from *ancestor* to *sighting*; a dirty folder is anybody's."""
        if sighting.commit is None:
            return True
        git, _ = await self._repository()
        before = await resolve(git, ancestor)
        return before is not None and await descends(git, sighting.commit, before)

    async def changed(self, seconds: float) -> None:
        """Wait for a change that the system reports, or a commit before it, at most *seconds*."""
        if await asyncio.to_thread(_journal_of, self._root) != self._moved:
            return
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="watch specs")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        self._stirred.clear()

    async def close(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])

    async def _watch(self) -> None:
        import watchfiles  # late: it loads a library that commands don't need

        try:
            async for _ in watchfiles.awatch(self._root, debounce=200, step=50, rust_timeout=500):
                self._stirred.set()
        except (OSError, RuntimeError) as error:
            # No such folder yet, or the system has no watches left: the next look finds it.
            _log.debug("changes are not reported", folder=str(self._root), error=str(error))

    async def _see(self) -> Seen:
        return await asyncio.to_thread(lambda: (marks_of(self._root), head_of(self._root)))

    async def _rest(self) -> Seen:
        """Wait until nothing below the folder moves; raises RevisionGone without a folder."""
        seen = await self._see()
        if seen == self._seen:
            return seen
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            await asyncio.sleep(self._quiet)
            later = await self._see()
            if later == seen and not _git_works(self._root):
                break
            seen = later
        return seen

    async def _sighting(self, loaded: Loaded) -> Sighting:
        revised = await asyncio.to_thread(revision, self._root)
        digest = digest_of(loaded)[:8]
        if revised is None or revised.endswith("+"):
            name = f"{revised or 'folder+'}{digest}"
            return Sighting(name=name, revision=revised, loaded=loaded)
        return Sighting(name=revised, revision=revised, loaded=loaded, commit=revised)

    async def _repository(self) -> tuple[Git, str]:
        words = ["rev-parse", "--absolute-git-dir", "--show-prefix"]
        command = ["git", "-c", "core.fsmonitor=false", "-C", str(self._root), *words]
        ended = await run(command, {**os.environ, "LC_ALL": "C"}, b"", 1 << 16, _SECONDS)
        if ended.code:
            message = f"{self._root} does not lie in a git repository"
            raise RevisionGone(message)
        folder, _, prefix = os.fsdecode(ended.out).rstrip("\n").partition("\n")
        return Git(folder=Path(folder), own=False), prefix.strip("/")


def marks_of(root: Path) -> Marks:
    """Note size, time and identity of all files below *root*; raises RevisionGone without one."""
    if not root.is_dir():
        message = f"there is no spec folder {root}"
        raise RevisionGone(message, hint="`reconciler init` makes one")
    marks: dict[str, tuple[int, int, int]] = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            path = os.path.join(folder, name)  # noqa: PTH118 - thousands of them
            with suppress(OSError):
                found = os.stat(path)  # noqa: PTH116
                marks[path] = (found.st_size, found.st_mtime_ns, found.st_ino)
    return marks


def digest_of(loaded: Loaded) -> str:
    """Hash all texts that *loaded* was read from."""
    digest = hashlib.sha256()
    for path, text in sorted(loaded.texts.items()):
        for part in (path, text):
            data = part.encode(errors="surrogatepass")
            digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def _git_works(root: Path) -> bool:
    """Whether git is about to change the work tree that *root* lies in."""
    git = _git_folder(root)
    return git is not None and (git / "index.lock").exists()


def _journal_of(root: Path) -> tuple[int, int] | None:
    """Note size and time of the file that git writes to when another commit is checked out."""
    git = _git_folder(root)
    if git is None:
        return None
    try:
        found = (git / "logs/HEAD").stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _git_folder(root: Path) -> Path | None:
    """Find git's folder above *root*; None for a linked work tree, where commits wait for a look."""
    for folder in (root.resolve(), *root.resolve().parents):
        git = folder / ".git"
        if git.exists():
            return git if git.is_dir() else None
    return None
