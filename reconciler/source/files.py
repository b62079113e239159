"""Reads the spec root: regular YAML files, and the workflow files that specs name.

Whatever is odd about a file becomes a diagnostic and the rest is still read.
Not here: what the texts mean (`reconciler.spec`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.diagnostics import Diagnostic, Mark
from reconciler.source.rules import (
    MAX_FILE,
    MAX_TOTAL,
    MAX_WORKFLOW,
    MAX_WORKFLOWS,
    SUFFIXES,
    Refused,
    Tree,
    as_text,
    check_name,
    place_of,
    too_large,
)
from reconciler.source.rules import error as file_error
from reconciler.spec.document import SpecFile
from reconciler.spec.link import Wanted, WorkflowText
from reconciler.spec.problems import did_you_mean

__all__ = ["Tree", "read_specs", "read_workflows", "shown"]


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
        return Tree((), (file_error("FIL113", message, Mark(shown_root), hint),))
    total = 0
    real_root = root.resolve()
    names: dict[str, str] = {}
    for relative in _walk(root, found, shown_root):
        path = os.path.join(shown_root, relative)  # noqa: PTH118 - keeps "./" as it was typed
        try:
            check_name(relative, names)
            text = _read(root / relative, real_root, MAX_FILE)
        except Refused as error:
            found.append(error.at(path))
            unread.append(relative)
            continue
        total += len(text)
        if total > MAX_TOTAL:
            message = f"all spec files together are larger than {MAX_TOTAL >> 20} MiB"
            found.append(file_error("FIL105", message, Mark(path)))
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
            found.append(file_error("FIL110", message, Mark(f"{shown_root}/{folder}")))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            relative = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.lower().endswith(SUFFIXES):
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
        yield file_error("FIL102", message, Mark(f"{shown_root}/{relative}"), "copy the files here")


def _read(path: Path, real_root: Path, limit: int) -> str:
    """Read one file as text; raises `_Refused` for everything that is wrong with it."""
    try:
        real = path.resolve(strict=True)
        facts = real.stat()
    except FileNotFoundError:
        raise Refused("FIL101", "this link leads to nothing") from None
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "links in a circle"
        raise Refused("FIL110", f"this file cannot be read: {reason}") from None
    if not real.is_relative_to(real_root):
        raise Refused("FIL102", "this link leads out of the spec root", "copy the file here")
    if not stat.S_ISREG(facts.st_mode):
        what = "a folder" if stat.S_ISDIR(facts.st_mode) else "not a regular file"
        raise Refused("FIL103", f"this is {what}, though it is named like a file", "rename it")
    try:
        with real.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise Refused("FIL110", f"this file cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise too_large(limit)
    return as_text(data)


def read_workflows(root: Path, wanted: Iterable[Wanted]) -> dict[Wanted, WorkflowText]:
    """Read the workflow files that specs below *root* name; each file once."""
    real_root, shown_root = root.resolve(), shown(root)
    texts: dict[str, WorkflowText] = {}
    result: dict[Wanted, WorkflowText] = {}
    total = 0
    for want in wanted:
        relative = place_of(want, lambda path: os.path.lexists(root / path))
        if relative not in texts:
            texts[relative] = _workflow(root, real_root, shown_root, relative)
            total += len(texts[relative].text or "")
        if total > MAX_WORKFLOWS:
            message = f"all workflow files together are larger than {MAX_WORKFLOWS >> 20} MiB"
            texts[relative] = WorkflowText(code="FIL105", message=message)
        result[want] = texts[relative]
    return result


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
    except Refused as error:
        code = "FIL112" if error.code == "FIL102" else error.code
        return WorkflowText(code=code, message=f"{relative}: {error.message}", hint=error.hint)
    return WorkflowText(os.path.join(shown_root, relative), text)  # noqa: PTH118
