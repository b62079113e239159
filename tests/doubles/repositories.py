"""A git repository as a team has it: a bare one that all push to, and somebody's clone."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Team:
    """A bare repository and a clone of it, on one branch."""

    bare: Path
    clone: Path
    branch: str = "main"

    @classmethod
    def begin(cls, folder: Path, branch: str = "main") -> Team:
        """Make both below *folder*, without any commit."""
        team = cls(folder / "team.git", folder / "clone", branch)
        git(folder, "init", "--quiet", "--bare", f"--initial-branch={branch}", str(team.bare))
        git(folder, "init", "--quiet", f"--initial-branch={branch}", str(team.clone))
        git(team.clone, "remote", "add", "origin", str(team.bare))
        return team

    @classmethod
    def alone(cls, folder: Path) -> Team:
        """Make *folder* a work tree that is pushed nowhere, without any commit."""
        team = cls(folder / "none.git", folder)
        team.git("init", "--quiet", "--initial-branch=main")
        (folder / ".gitignore").write_text(".reconciler/\n", encoding="utf-8")
        return team

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file into the clone."""
        path = self.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def commit(self, message: str = "a change") -> str:
        """Commit all that the clone holds; returns the commit's id."""
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "--allow-empty", "-m", message)
        return self.head()

    def push(self, message: str = "a change") -> str:
        """Commit and push; returns the commit's id."""
        commit = self.commit(message)
        git(self.clone, "push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{self.branch}")
        return commit

    def head(self) -> str:
        return git(self.clone, "rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        """Do something else in the clone."""
        return git(self.clone, *words)


def git(folder: Path, *words: str) -> str:
    """Run git as a person whose configuration is empty."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@acme.example",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@acme.example",
        "GIT_ALLOW_PROTOCOL": "file",
    }
    done = subprocess.run(
        ["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
