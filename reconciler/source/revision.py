"""Which git revision the specs are at, for labels and records; no revision is fine, too."""

from __future__ import annotations

import subprocess
from pathlib import Path

_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_SECONDS = 10.0


def revision(root: Path, *, untracked: bool = True) -> str | None:
    """Tell the commit that *root* is checked out at, with ``+`` when files below it differ.

    *untracked*: also when there are files that git does not know.
    None when *root* is not in a git repository, or git is not installed.
    """
    head = head_of(root)
    if not head:
        return None
    which = "normal" if untracked else "no"
    changed = _git(root, "status", "--porcelain", f"--untracked-files={which}", "--", ".")
    return f"{head}+" if changed else head


def head_of(root: Path) -> str | None:
    """Tell the commit that *root* is checked out at, whatever the files below it are."""
    return _git(root, "rev-parse", "--verify", "--quiet", "--short=12", "HEAD")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *_QUIET, "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
