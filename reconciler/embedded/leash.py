"""Run a command that ends when we do: the leash is our end of its standard input.

Run as `leash command arguments...`: it starts the command in a process group of its own and
kills the group when stdin closes, which the kernel does for us however we end.
Not here: servers, which live on while others use them (`keeper`).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress

KILL_SECONDS = 5.0


def main() -> None:
    """Run the command in the arguments; exit with its code, or 130 when the leash was let go."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin, wake], [], [])
        if sys.stdin in ready:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    child.wait(KILL_SECONDS)
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            sys.exit(130)
        os.read(wake, 4096)
    sys.exit(child.returncode if child.returncode >= 0 else 128 - child.returncode)
