"""Small files that several processes share: written whole or not at all, locked, private.

Not here: what stands in them.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from reconciler.errors import ConfigError

TAIL_BYTES = 16_384


def make_private_folder(path: Path) -> Path:
    """Create *path* (mode 0700) with its parents; an existing folder keeps its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    return path


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Turn the machine's refusals (rights, full disk, no folder) into a ConfigError."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        raise ConfigError(
            f"{place} cannot be used: {error.strerror or error}",
            hint=f"{folder} has to be a folder on this machine that belongs to you, with room left",
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write *text* as a 0600 file that appears whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None when the file is missing, torn or something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def ensure_secret(path: Path, secret: str) -> str:
    """Keep *secret* in a 0600 file unless one is kept there already; return the kept one."""
    kept = _read_secret(path)
    if kept:
        return kept
    make_private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_private(draft, secret + "\n")
    try:
        # link() never replaces a file, so of two processes one wins and both read the same secret.
        os.link(draft, path)
    except FileExistsError:
        if not _read_secret(path):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return _read_secret(path)


def _read_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock of *path*, waiting for it; the kernel frees it when we die."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Tell whether some process holds the exclusive lock of *path*."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def last_lines(path: Path, *, since: int = 0, count: int = 15) -> str:
    """Return the last *count* lines of a log file, none from before byte *since*."""
    try:
        with path.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, min(since, end), end - TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-count:])
