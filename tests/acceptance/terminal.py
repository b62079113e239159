"""A command at a terminal of its own: it can be answered, and Ctrl-C is typed as a person does."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.shell import Done, Shell

PATIENCE = 30.0
CTRL_C = b"\x03"

# A session's first terminal becomes the one whose Ctrl-C it hears; dash opens it like any file.
_AT_TERMINAL = 'exec <"$0" >"$0" 2>&1; exec "$@"'

_ROOT = str(Path(__file__).resolve().parents[2])
_RECONCILER = (sys.executable, "-m", "reconciler")


@dataclass(slots=True)
class Terminal:
    """What a person sees and types."""

    process: subprocess.Popen[bytes]
    descriptor: int
    theirs: int  # ours, too, until they surely have opened it
    seen: str = ""

    def until(self, text: str) -> None:
        """Read until *text* was printed."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was not said: {self.seen}"
            assert self._read(), f"it ended without {text!r}: {self.seen}"

    def type(self, keys: bytes) -> None:
        os.write(self.descriptor, keys)

    def end(self) -> Done:
        """Read all that it still says, until it has ended."""
        os.close(self.theirs)  # else the end of theirs would not be one
        self.theirs = -1
        while self._read():
            pass
        return Done(self.process.wait(PATIENCE), self.seen, "")

    def _read(self) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], PATIENCE)
        assert ready, f"it hangs: {self.seen}"
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.seen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


@contextmanager
def at_terminal(shell: Shell, *words: str, **env: str) -> Iterator[Terminal]:
    """Run a command at a new terminal; what still runs at the end is killed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["/bin/sh", "-c", _AT_TERMINAL, os.ttyname(theirs), *_RECONCILER, *words],
        cwd=shell.folder,
        env={**shell.env, "TERM": "xterm", "NO_COLOR": "1", "PYTHONPATH": _ROOT, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    terminal = Terminal(process, ours, theirs)
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for descriptor in (terminal.theirs, ours):
            if descriptor >= 0:
                os.close(descriptor)
