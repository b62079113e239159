"""Which process is meant: a pid together with its birth, so that a recycled pid is never hit.

Not here: starting processes (`service`), and what they do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

ZOMBIE = "Z"


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def birth(pid: int) -> str | None:
    """Return a word that no other process with this pid ever had; None when it is not running."""
    if sys.platform == "linux":
        return _birth_linux(pid)
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return started.strip() if started and not state.startswith(ZOMBIE) else None


def _birth_linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command stands in brackets and may itself hold brackets and blanks.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {ZOMBIE, "X"} else f"{_boot_id()}:{fields[19]}"


def is_alive(pid: int, born: str | None) -> bool:
    """Tell whether the process *pid* that was born at *born* still runs."""
    return pid > 0 and born is not None and birth(pid) == born


def working_in(folder: Path) -> list[int]:
    """List the processes whose working directory is *folder* (Linux only, of our own user)."""
    wanted = folder.resolve()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (place / "cwd").readlink() == wanted:
                found.append(int(place.name))
    return sorted(found)


def send(pid: int, signal_number: int, *, group: bool) -> None:
    """Send a signal to a process or to its whole group; one that is gone is fine."""
    with suppress(ProcessLookupError):
        if group:
            os.killpg(pid, signal_number)
        else:
            os.kill(pid, signal_number)
