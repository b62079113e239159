"""Reads the spec root: regular YAML files, and the workflow files that specs name.

Whatever is odd about a file becomes a diagnostic and the rest is still read.
Not here: what the texts mean (`reconciler.spec`).
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.diagnostics import Diagnostic, Mark, Severity
from reconciler.spec.document import SpecFile
from reconciler.spec.load import Wanted, WorkflowText
from reconciler.spec.parse import BIDI, CONTROL
from reconciler.spec.problems import did_you_mean

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


class _Refused(Exception):
    def __init__(self, code: str, message: str, hint: str | None = None, line: int = 1) -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.line = code, message, hint, line


def read_specs(root: Path) -> Tree:
    """Read every spec file below *root*, sorted by path; never raises for what it finds."""
    shown_root = shown(root)
    found: list[Diagnostic] = []
    files: list[SpecFile] = []
    unread: list[str] = []
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "is not there"
        message = f"the spec root {what}"
        hint = "`reconciler init` makes one"
        return Tree((), (_error("FIL113", message, Mark(shown_root), hint),))
    total = 0
    real_root = root.resolve()
    names: dict[str, str] = {}
    for relative in _walk(root, found, shown_root):
        path = os.path.join(shown_root, relative)  # noqa: PTH118 - keeps "./" as it was typed
        try:
            _check_name(relative, names)
            text = _read(root / relative, real_root, MAX_FILE)
        except _Refused as error:
            found.append(_error(error.code, error.message, Mark(path, error.line), error.hint))
            unread.append(relative)
            continue
        total += len(text)
        if total > MAX_TOTAL:
            message = f"all spec files together are larger than {MAX_TOTAL >> 20} MiB"
            found.append(_error("FIL105", message, Mark(path)))
            break
        files.append(SpecFile(path=path, relative=relative, text=text))
    return Tree(tuple(files), tuple(found), tuple(unread))


def shown(path: Path) -> str:
    """Write *path* as the user would: relative to the working folder where it lies below it."""
    if path.is_absolute():
        try:
            return str(path.relative_to(Path.cwd()))
        except ValueError:
            return str(path)
    return str(path)


def _error(code: str, message: str, mark: Mark, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, mark, hint)


def _walk(root: Path, found: list[Diagnostic], shown_root: str) -> Iterator[str]:
    """Yield the relative paths of what is named like a spec file, sorted."""
    folders = [""]
    paths: list[str] = []
    while folders:
        folder = folders.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            message = f"this folder cannot be read: {error.strerror}"
            found.append(_error("FIL110", message, Mark(f"{shown_root}/{folder}")))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.endswith(SUFFIXES):
                paths.append(relative)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(relative)
            elif entry.is_symlink() and entry.is_dir():
                found += _linked_folder(root, relative, shown_root)
    yield from sorted(paths)


def _linked_folder(root: Path, relative: str, shown_root: str) -> Iterator[Diagnostic]:
    """Say that a linked folder is not followed, if it would lead outside."""
    if not (root / relative).resolve().is_relative_to(root.resolve()):
        message = "this link leads out of the spec root"
        yield _error("FIL102", message, Mark(f"{shown_root}/{relative}"), "copy the files here")


def _check_name(relative: str, names: dict[str, str]) -> None:
    if CONTROL.search(relative) or BIDI.search(relative) or "\t" in relative or "\n" in relative:
        raise _Refused("FIL108", "this file name holds control or direction characters")
    folded = unicodedata.normalize("NFC", relative).casefold()
    first = names.setdefault(folded, relative)
    if first != relative:
        message = f"this name and {first} are the same on other machines"
        raise _Refused("FIL109", message, "rename one of them")


def _read(path: Path, real_root: Path, limit: int) -> str:
    """Read one file as text; raises `_Refused` for everything that is wrong with it."""
    try:
        real = path.resolve(strict=True)
        facts = real.stat()
    except FileNotFoundError:
        raise _Refused("FIL101", "this link leads to nothing") from None
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "links in a circle"
        raise _Refused("FIL110", f"this file cannot be read: {reason}") from None
    if not real.is_relative_to(real_root):
        raise _Refused("FIL102", "this link leads out of the spec root", "copy the file here")
    if not stat.S_ISREG(facts.st_mode):
        what = "a folder" if stat.S_ISDIR(facts.st_mode) else "not a regular file"
        raise _Refused("FIL103", f"this is {what}, though it is named like a file", "rename it")
    try:
        with real.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise _Refused("FIL110", f"this file cannot be read: {error.strerror}") from None
    if len(data) > limit:
        size = f"{limit >> 20} MiB"
        raise _Refused("FIL104", f"this file is larger than {size}", "split it")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"this is not UTF-8 text (byte 0x{data[error.start]:02X})"
        raise _Refused("FIL106", message, "save it as UTF-8", line) from None


def read_workflows(root: Path, wanted: Iterable[Wanted]) -> dict[Wanted, WorkflowText]:
    """Read the workflow files that specs below *root* name; each file once."""
    real_root, shown_root = root.resolve(), shown(root)
    texts: dict[str, WorkflowText] = {}
    result: dict[Wanted, WorkflowText] = {}
    total = 0
    for want in wanted:
        relative = _place(root, want)
        if relative not in texts:
            texts[relative] = _workflow(root, real_root, shown_root, relative)
            total += len(texts[relative].text or "")
        if total > MAX_WORKFLOWS:
            message = f"all workflow files together are larger than {MAX_WORKFLOWS >> 20} MiB"
            texts[relative] = WorkflowText(code="FIL105", message=message)
        result[want] = texts[relative]
    return result


def _place(root: Path, want: Wanted) -> str:
    """Resolve a name against the document's folder, then against the root; "" is outside."""
    if want.file.startswith(("/", "~")) or "\\" in want.file or CONTROL.search(want.file):
        return ""
    beside = os.path.normpath(os.path.join(os.path.dirname(want.relative), want.file))  # noqa: PTH118, PTH120
    below = os.path.normpath(want.file)
    choices = [path for path in (beside, below) if path != ".." and not path.startswith("../")]
    for path in choices:
        if os.path.lexists(root / path):
            return path
    return choices[0] if choices else ""


def _workflow(root: Path, real_root: Path, shown_root: str, relative: str) -> WorkflowText:
    if not relative:
        message = "a workflow file lies inside the spec root"
        where = "name it relative to this document or to the spec root, with slashes"
        return WorkflowText(code="FIL112", message=message, hint=where)
    path = root / relative
    if not os.path.lexists(path):
        folder = path.parent
        near = sorted(item.name for item in folder.glob("*.json")) if folder.is_dir() else []
        message = f"there is no workflow file {relative}"
        hint = did_you_mean(path.name, near, "n8n's editor writes it: menu, Download")
        return WorkflowText(code="FIL111", message=message, hint=hint)
    try:
        text = _read(path, real_root, MAX_WORKFLOW)
    except _Refused as error:
        code = "FIL112" if error.code == "FIL102" else error.code
        return WorkflowText(code=code, message=f"{relative}: {error.message}", hint=error.hint)
    return WorkflowText(os.path.join(shown_root, relative), text)  # noqa: PTH118
