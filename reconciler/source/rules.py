"""What holds for every spec file, wherever it is read from: names, sizes, UTF-8. Pure.

Not here: reading (`reconciler.source.files`, `reconciler.source.commits`).
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.diagnostics import Diagnostic, Mark, Severity
from reconciler.spec.document import SpecFile
from reconciler.spec.link import Wanted
from reconciler.spec.parse import BIDI, CONTROL

MAX_FILE: Final = 1024 * 1024  # bytes of one spec file
MAX_TOTAL: Final = 64 * 1024 * 1024  # bytes of all spec files together
MAX_WORKFLOW: Final = 5 * 1024 * 1024  # bytes of one workflow file
MAX_WORKFLOWS: Final = 512 * 1024 * 1024  # bytes of all workflow files together
SUFFIXES: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Tree:
    """What was found below the spec root."""

    files: tuple[SpecFile, ...]
    diagnostics: tuple[Diagnostic, ...]
    unread: tuple[str, ...] = ()  # relative paths of what was refused


class Refused(Exception):
    """Something is wrong with one file; the others are still read."""

    def __init__(self, code: str, message: str, hint: str | None = None, line: int = 1) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.line = code, message, hint, line

    def at(self, path: str) -> Diagnostic:
        """Say it about the file at *path*."""
        return error(self.code, self.message, Mark(path, self.line), self.hint)


def error(code: str, message: str, mark: Mark, hint: str | None = None) -> Diagnostic:
    """Make an error about a file."""
    return Diagnostic(Severity.ERROR, code, message, mark, hint)


def check_name(relative: str, names: dict[str, str]) -> None:
    """Refuse a name that terminals or other machines misread; *names* collects the others."""
    if CONTROL.search(relative) or BIDI.search(relative) or "\t" in relative or "\n" in relative:
        raise Refused("FIL108", "this file name holds control or direction characters")
    folded = unicodedata.normalize("NFC", relative).casefold()
    first = names.setdefault(folded, relative)
    if first != relative:
        message = f"this name and {first} are the same on other machines"
        raise Refused("FIL109", message, "rename one of them")


def too_large(limit: int) -> Refused:
    """Say that a file has more than *limit* bytes."""
    return Refused("FIL104", f"this file is larger than {limit >> 20} MiB", "split it")


def as_text(data: bytes) -> str:
    """Read *data* as UTF-8; raises `Refused` with the line where it is not."""
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"this is not UTF-8 text (byte 0x{data[error.start]:02X})"
        raise Refused("FIL106", message, "save it as UTF-8", line) from None


def place_of(want: Wanted, exists: Callable[[str], bool]) -> str:
    """Resolve a name against the document's folder, then against the root; "" is outside."""
    if want.file.startswith(("/", "~")) or "\\" in want.file or CONTROL.search(want.file):
        return ""
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(want.relative), want.file))
    below = posixpath.normpath(want.file)
    choices = [path for path in (beside, below) if path != ".." and not path.startswith("../")]
    for path in choices:
        if exists(path):
            return path
    return choices[0] if choices else ""
