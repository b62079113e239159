"""Reads specs straight out of a git commit: blobs by object id, no checkout anywhere.

The same checks as for files in a folder; links and submodules are refused one by one.
Not here: how commits get here (`reconciler.source.mirror`).
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from reconciler.diagnostics import Diagnostic, Mark
from reconciler.errors import ReconcilerError, RevisionGone
from reconciler.source.git import COMMIT, Git
from reconciler.source.rules import (
    MAX_FILE,
    MAX_TOTAL,
    MAX_WORKFLOW,
    MAX_WORKFLOWS,
    SUFFIXES,
    Refused,
    Tree,
    as_text,
    check_name,
    error,
    place_of,
    too_large,
)
from reconciler.spec.document import SpecFile
from reconciler.spec.link import Loaded, Models, Wanted, WorkflowText, tidy
from reconciler.spec.load import link, read
from reconciler.spec.problems import did_you_mean

_REGULAR: Final = frozenset({"100644", "100755"})
_ODD: Final = {"120000": "a symbolic link", "160000": "a submodule"}
_BATCH: Final = 32 * 1024 * 1024  # bytes that are asked for at once


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a commit."""

    mode: str
    id: str
    size: int

    def require_file(self, limit: int) -> None:
        """Raise `Refused` unless it is a regular file of at most *limit* bytes."""
        if self.mode not in _REGULAR:
            what = _ODD.get(self.mode, "not a regular file")
            raise Refused("FIL103", f"this is {what}", "put the file itself into the repository")
        if self.size > limit:
            raise too_large(limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit, and the folder in it that holds the specs ("": the whole tree)."""

    git: Git
    id: str
    folder: str = ""

    async def load(self, models: Models) -> Loaded:
        """Read and link all specs; what is wrong with them is in the result.

        Raises RevisionGone when the commit or the folder isn't there.
        """
        entries = await self.entries()
        tree = await self._specs(entries)
        first = await asyncio.to_thread(read, tree.files, models, tree.unread)
        workflows = await self._workflows(entries, first.wanted)
        loaded = await asyncio.to_thread(link, first, workflows)
        return replace(loaded, diagnostics=tidy([*tree.diagnostics, *loaded.diagnostics]))

    async def entries(self) -> dict[str, Entry]:
        """List all files below the folder, by path relative to it."""
        if not COMMIT.fullmatch(self.id):
            raise RevisionGone(f"{self.id!r} is not the id of a commit")
        ended = await self.git.run(
            "ls-tree", "-r", "-z", "-l", "--full-tree", f"{self.id}:{self.folder}"
        )
        if ended.code:
            known = await self.git.run("cat-file", "-e", f"{self.id}^{{commit}}")
            where = f"the folder {self.folder} in commit" if not known.code else "the commit"
            raise RevisionGone(f"there is no {where.removeprefix('the ')} {self.id[:12]}")
        lines = ended.out.split(b"\0")
        return dict(_entry(line) for line in lines if line)

    def shown(self, relative: str) -> str:
        """Name a file as those who work on the repository do."""
        return posixpath.join(self.folder, relative)

    async def _specs(self, entries: Mapping[str, Entry]) -> Tree:
        found: list[Diagnostic] = []
        unread: list[str] = []
        kept: list[str] = []
        names: dict[str, str] = {}
        total = 0
        for relative, entry in sorted(entries.items()):
            if _hidden(relative) or not (
                relative.lower().endswith(SUFFIXES) or entry.mode == "160000"
            ):
                continue
            try:
                check_name(relative, names)
                entry.require_file(MAX_FILE)
            except Refused as refused:
                found.append(refused.at(self.shown(relative)))
                unread.append(relative)
                continue
            total += entry.size
            if total > MAX_TOTAL:
                message = f"all spec files together are larger than {MAX_TOTAL >> 20} MiB"
                found.append(error("FIL105", message, Mark(self.shown(relative))))
                break
            kept.append(relative)
        blobs = await self._blobs([entries[relative] for relative in kept])
        files: list[SpecFile] = []
        for relative in kept:
            path = self.shown(relative)
            try:
                text = as_text(blobs[entries[relative].id])
            except Refused as refused:
                found.append(refused.at(path))
                unread.append(relative)
            else:
                files.append(SpecFile(path=path, relative=relative, text=text))
        return Tree(tuple(files), tuple(found), tuple(unread))

    async def _workflows(
        self, entries: Mapping[str, Entry], wanted: Iterable[Wanted]
    ) -> dict[Wanted, WorkflowText]:
        places = {want: place_of(want, lambda path: path in entries) for want in wanted}
        texts: dict[str, WorkflowText] = {}
        kept: list[str] = []
        total = 0
        for relative in dict.fromkeys(places.values()):
            refusal = _unfit(relative, entries)
            total += 0 if refusal else entries[relative].size
            if refusal is None and total > MAX_WORKFLOWS:
                message = f"all workflow files together are larger than {MAX_WORKFLOWS >> 20} MiB"
                refusal = WorkflowText(code="FIL105", message=message)
            if refusal is None:
                kept.append(relative)
            else:
                texts[relative] = refusal
        blobs = await self._blobs([entries[relative] for relative in kept])
        for relative in kept:
            try:
                text = as_text(blobs[entries[relative].id])
            except Refused as refused:
                texts[relative] = _refusal(relative, refused)
            else:
                texts[relative] = WorkflowText(self.shown(relative), text)
        return {want: texts[relative] for want, relative in places.items()}

    async def _blobs(self, entries: Sequence[Entry]) -> dict[str, bytes]:
        """Read the contents of *entries*, by object id, a bounded number of bytes at a time."""
        found: dict[str, bytes] = {}
        batch: list[Entry] = []
        for entry in {e.id: e for e in entries}.values():
            if batch and sum(e.size for e in batch) + entry.size > _BATCH:
                found |= await self._batch(batch)
                batch = []
            batch.append(entry)
        return found | await self._batch(batch) if batch else found

    async def _batch(self, entries: Sequence[Entry]) -> dict[str, bytes]:
        stdin = "".join(f"{entry.id}\n" for entry in entries).encode()
        most = sum(entry.size + 128 for entry in entries)
        ended = await self.git.run("cat-file", "--batch", "--buffer", stdin=stdin, most=most)
        found: dict[str, bytes] = {}
        at = 0
        for entry in entries:
            end = ended.out.find(b"\n", at)
            head = ended.out[at:end].decode("ascii", "replace").split(" ")
            if end < 0 or head != [entry.id, "blob", str(entry.size)]:
                raise ReconcilerError(f"git can't read the object {entry.id}: {ended.reason}")
            found[entry.id] = ended.out[end + 1 : end + 1 + entry.size]
            at = end + entry.size + 2
        return found


def _entry(line: bytes) -> tuple[str, Entry]:
    facts, _, name = line.partition(b"\t")
    mode, _, id_, size = facts.decode("ascii").split()
    # A name that is not UTF-8 shows as such; no document can name it, and terminals stay sane.
    return name.decode(errors="replace"), Entry(mode, id_, int(size) if size != "-" else 0)


def _hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.split("/"))


def _unfit(relative: str, entries: Mapping[str, Entry]) -> WorkflowText | None:
    if not relative:
        message = "a workflow file lies inside the spec root"
        where = "name it relative to this document or to the spec root, with slashes"
        return WorkflowText(code="FIL112", message=message, hint=where)
    if relative not in entries:
        folder = posixpath.dirname(relative)
        near = [
            posixpath.basename(p)
            for p in entries
            if p.endswith(".json") and posixpath.dirname(p) == folder
        ]
        message = f"there is no workflow file {relative}"
        hint = did_you_mean(posixpath.basename(relative), near, "is it committed?")
        return WorkflowText(code="FIL111", message=message, hint=hint)
    try:
        entries[relative].require_file(MAX_WORKFLOW)
    except Refused as refused:
        return _refusal(relative, refused)
    return None


def _refusal(relative: str, refused: Refused) -> WorkflowText:
    message = f"{relative}: {refused.message}"
    return WorkflowText(code=refused.code, message=message, hint=refused.hint)
