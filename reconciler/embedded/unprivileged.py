"""Run a program as somebody who is not root: PostgreSQL refuses to run as root.

The program keeps one right, to look into folders (`CAP_DAC_READ_SEARCH`), so that no folder above
its data has to be opened for everybody. Linux only; it replaces this process by the program.
Not here: when that is needed (`postgres`).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import ClassVar

PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
# What is tried first is the smaller right; some containers give root only the other one.
CAPABILITIES = (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)


class _Header(ctypes.Structure):
    _fields_: ClassVar = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_: ClassVar = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


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


def become(uid: int, gid: int) -> None:
    """Turn this process (root) into *uid*:*gid*, keeping the right to look into folders if allowed.

    Raises OSError where the machine does not let root change its user.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc is not None:
        _prctl(libc, PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if libc is not None:
        any(_keep(libc, capability) for capability in CAPABILITIES)


def main() -> None:
    """Run as `uid gid program arguments...`."""
    uid, gid, *argv = sys.argv[1:]
    try:
        become(int(uid), int(gid))
        os.execv(argv[0], argv)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"cannot run {argv[0]} as user {uid}: {error}")
