"""Writes files of the user: whole or not at all, with the permissions they had."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from reconciler.errors import ReconcilerError


def replace_text(path: Path, text: str) -> None:
    """Replace the content of *path* in one step; raises ReconcilerError when it can't."""
    real = path.resolve()
    name = ""
    try:
        mode = real.stat().st_mode & 0o7777 if real.exists() else 0o666 & ~_umask()
        handle, name = tempfile.mkstemp(dir=real.parent, prefix=f".{real.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)  # noqa: PTH101 - a name, not a Path
        os.replace(name, real)  # noqa: PTH105
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        message = f"can't write {path}: {error.strerror}"
        raise ReconcilerError(message) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
