"""Our own bare mirror of one branch; nothing is ever checked out, nothing is ever collected.

Several processes of one folder may share it. What was fetched once stays readable, also after
the branch was rewritten: that is what a rollback reads. Not here: reading a commit's files.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.errors import GitUnreachable, RevisionGone
from reconciler.source.commits import Commit
from reconciler.source.git import COMMIT, Git, check_branch, check_folder, check_url

_TIPS: Final = "refs/reconciler"  # one reference for each process that fetches at a time
_SLOTS: Final = 16
_LABEL: Final = 12  # digits of a commit's id in records


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A branch of a repository, and how to get at it; checked when it is made."""

    url: str
    branch: str = "main"
    folder: str = ""
    token: str | None = field(default=None, repr=False)
    ssh_key: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        """Refuse what git could misread; raises ConfigError."""
        check_url(self.url, insecure=self.insecure)
        check_branch(self.branch)
        object.__setattr__(self, "folder", check_folder(self.folder))

    @property
    def place(self) -> str:
        """Name it for people."""
        return f"{self.url} {self.branch}" + (f" {self.folder}/" if self.folder else "")

    def variables(self) -> dict[str, str]:
        """Give the environment that authenticates; the token never stands in an argument."""
        words = ["ssh", "-oBatchMode=yes", "-oConnectTimeout=20"]
        if self.ssh_key is not None:
            words += ["-oIdentitiesOnly=yes", "-i", str(self.ssh_key)]
        found = {"GIT_SSH_COMMAND": shlex.join(words)}
        if self.token is not None and self.url.startswith("http"):
            basic = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
            found |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
            }
        return found


class Mirror:
    """The local copy of what a remote branch held, whenever we looked."""

    def __init__(self, state: Path, remote: Remote, *, seconds: float = 90.0) -> None:
        """Keep it below the folder *state*; one fetch may take *seconds*."""
        digest = hashlib.sha256(f"{remote.url}\n{remote.branch}".encode()).hexdigest()
        self.folder = state / "git" / f"{digest[:16]}.git"
        self.remote = remote
        protocols = ("https", "ssh", "http", "file") if remote.insecure else ("https", "ssh")
        self._local = Git(folder=self.folder)
        self._reach = Git(
            folder=self.folder,
            protocols=protocols,
            variables=remote.variables(),
            seconds=seconds,
        )

    async def fetch(self) -> str:
        """Bring the branch here and return the id of its newest commit.

        Raises GitUnreachable, or RevisionGone when the repository has no such branch.
        """
        with self._slot() as slot:
            tip = f"{_TIPS}/tip-{slot}"
            await self._prepare(tip)
            ended = await self._reach.run(
                "fetch",
                "--quiet",
                "--force",
                "--no-tags",
                "--no-recurse-submodules",
                "--no-write-fetch-head",
                "--end-of-options",
                self.remote.url,
                f"+refs/heads/{self.remote.branch}:{tip}",
            )
            if ended.code:
                raise self._trouble(ended.err, ended.reason)
            return await self._require(tip)

    async def find(self, label: str) -> str | None:
        """Give the full id of the commit that records call *label*; None when it isn't here."""
        if not self.folder.is_dir():
            return None
        return await resolve(self._local, label)

    def commit(self, commit: str) -> Commit:
        """Give what reads the specs of *commit*."""
        return Commit(git=self._local, id=commit, folder=self.remote.folder)

    async def descends(self, commit: str, ancestor: str) -> bool:
        """Whether *commit* is *ancestor* or came after it; an unknown one counts as rewritten."""
        return await descends(self._local, commit, ancestor)

    def _trouble(self, err: str, reason: str) -> GitUnreachable | RevisionGone:
        if "couldn't find remote ref" in err:
            return RevisionGone(f"the repository has no branch {self.remote.branch}")
        return GitUnreachable(f"git can't fetch {self.remote.url}: {reason}")

    async def _require(self, reference: str) -> str:
        found = await self._resolve(reference)
        if found is None:
            raise RevisionGone(f"the branch {self.remote.branch} holds no commit")
        return found

    async def _resolve(self, reference: str) -> str | None:
        ended = await self._local.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}"
        )
        # With --end-of-options some versions of git print that word, too.
        found = ended.out.decode("ascii", "replace").split()
        return found[-1] if not ended.code and found and COMMIT.fullmatch(found[-1]) else None

    async def _prepare(self, tip: str) -> None:
        """Make the mirror where there is none, and clear what a killed fetch left behind."""
        if self.folder.is_dir():
            known = await self._local.run("rev-parse", "--is-bare-repository")
            if known.out.strip() == b"true":
                (self.folder / f"{tip}.lock").unlink(missing_ok=True)
                return
            shutil.rmtree(self.folder, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self.folder.parent))
        made = await Git(folder=fresh).run("init", "--bare", "--quiet", "--template=")
        try:
            if made.code:
                raise GitUnreachable(f"git can't make a repository: {made.reason}")
            with suppress(OSError):  # another process was first: its mirror is as good
                os.rename(fresh, self.folder)  # noqa: PTH104 - one step, and no waiting
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    @contextmanager
    def _slot(self) -> Iterator[int]:
        """Hold a number that no other process of this folder fetches under, even a stopped one."""
        parent = self.folder.parent
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for slot in range(_SLOTS):
            with (parent / f"{self.folder.name}.{slot}.lock").open("wb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue
                yield slot
                return
        raise GitUnreachable(f"{_SLOTS} processes fetch into {parent} already")


def label(commit: str) -> str:
    """Shorten a commit's id to what records and people call it."""
    return commit[:_LABEL]


async def resolve(git: Git, word: str) -> str | None:
    """Give the full id of the commit whose id begins with *word*; None when there is none."""
    if not (7 <= len(word) <= 64 and all(c in "0123456789abcdef" for c in word)):
        return None
    ended = await git.run("rev-parse", "--verify", "--quiet", f"{word}^{{commit}}")
    found = ended.out.decode("ascii", "replace").strip()
    return found if not ended.code and COMMIT.fullmatch(found) else None


async def descends(git: Git, commit: str, ancestor: str) -> bool:
    """Whether *commit* is *ancestor* or came after it; an unknown one counts as rewritten."""
    ended = await git.run("merge-base", "--is-ancestor", ancestor, commit)
    return ended.code == 0
