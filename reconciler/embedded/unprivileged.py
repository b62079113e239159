"""Run a program as somebody who is not root: PostgreSQL refuses to run as root.

Root drops to another user, who keeps one right: to look into folders (`CAP_DAC_READ_SEARCH`), so
that no folder above the data has to be opened for everybody. Root of a container that has no
other user renames itself in a user namespace instead. Not here: which program (`postgres`).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import reconciler
from reconciler.errors import ConfigError

CLONE_NEWUSER = 0x10000000
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
# What is tried first is the smaller right; some containers give root only the other one.
CAPABILITIES = (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)
CODE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from reconciler.embedded.unprivileged import main; main()"
)


class _Header(ctypes.Structure):
    _fields_: ClassVar = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_: ClassVar = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def other_user(state: Path) -> tuple[int, int]:
    """Choose who runs a program for root (uid, gid): the owner of *state* or `nobody`.

    Raises ConfigError on a machine that has no other user.
    """
    entries = pwd.getpwall()
    owner = state.stat().st_uid
    ranked = sorted(entries, key=lambda e: (e.pw_uid != owner, e.pw_name != "nobody"))
    for entry in ranked:
        if entry.pw_uid != 0:
            return entry.pw_uid, entry.pw_gid
    raise ConfigError(
        "PostgreSQL refuses to run as root and this machine has no other user",
        hint="run as another user or set DATABASE_URL",
    )


def give_away(folder: Path, state: Path) -> None:
    """Give the new *folder* to who will run the program, where root is allowed to."""
    if os.geteuid() == 0:
        # Without the right to, the folder stays root's and a user namespace is used.
        with suppress(OSError):
            os.chown(folder, *other_user(state))


def as_allowed_user(argv: list[str], data: Path) -> list[str]:
    """Return *argv*, or as root the command that runs it as the owner of *data*."""
    if os.geteuid() != 0:
        return argv
    owner = data.stat()
    if owner.st_uid == 0:
        how, ids = "rename", other_user(data)
    else:
        how, ids = "drop", (owner.st_uid, owner.st_gid)
    root = Path(reconciler.__file__).resolve().parent.parent
    return [sys.executable, "-I", "-S", "-c", CODE, str(root), how, *map(str, ids), *argv]


def drop(uid: int, gid: int) -> None:
    """Turn this process (root) into *uid*:*gid*, keeping the right to look into folders if allowed.

    Raises OSError where the machine does not let root change its user.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc is not None:
        _prctl(libc, PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if libc is not None:
        any(_keep(libc, capability) for capability in CAPABILITIES)


def rename(uid: int, gid: int) -> None:
    """Call this process *uid*:*gid* in a user namespace of its own; outside it stays who it is.

    Raises OSError where the machine has no user namespaces.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    outside = os.geteuid(), os.getegid()
    if sys.platform != "linux" or libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no user namespace")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside[0]} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside[1]} 1", encoding="ascii")


def _keep(libc: ctypes.CDLL, capability: int) -> bool:
    header = _Header(CAPABILITY_VERSION_3, 0)
    bit = 1 << capability
    data = (_Data * 2)(_Data(bit, bit, bit), _Data(0, 0, 0))
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        return False
    return _prctl(libc, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability) == 0


def _prctl(libc: ctypes.CDLL, option: int, first: int, second: int = 0) -> int:
    numbers = (ctypes.c_ulong(number) for number in (first, second, 0, 0))
    return int(libc.prctl(ctypes.c_int(option), *numbers))


def main() -> None:
    """Run as `drop|rename uid gid program arguments...`; the program replaces this process."""
    how, uid, gid, *argv = sys.argv[1:]
    become = {"drop": drop, "rename": rename}[how]
    try:
        become(int(uid), int(gid))
        os.execv(argv[0], argv)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"cannot run {argv[0]} as user {uid}: {error}")
