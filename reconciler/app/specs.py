"""The spec folder as a command sees it: read and compiled, or remembered from an earlier command.

A folder that did not change since it was compiled need not be parsed again: its files are read
and compared, and the memo beside the local state stands in for the rest (`reconciler.engine.memo`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import reconciler
from reconciler.diagnostics import Diagnostic
from reconciler.engine.memo import Memo, decode, encode, inputs_digest
from reconciler.errors import ReconcilerError
from reconciler.kinds.models import MODELS
from reconciler.settings import Settings
from reconciler.source.files import Tree, read_specs, read_workflows
from reconciler.source.load import load_tree
from reconciler.source.write import replace_text
from reconciler.spec.link import Loaded, Wanted, WorkflowText

MEMO = Path("cache") / "specs.json"  # below the state folder


@dataclass(slots=True, kw_only=True)
class Specs:
    """A spec folder: its texts, and what they say, parsed when it is needed."""

    root: Path
    tree: Tree
    memo: Memo | None  # of exactly these texts
    workflows: Mapping[Wanted, WorkflowText] = field(default_factory=dict)
    parsed: Loaded | None = None

    def loaded(self) -> Loaded:
        """Parse and link everything, once."""
        if self.parsed is None:
            self.parsed = load_tree(self.root, self.tree, MODELS)
            self.workflows = self.parsed.workflows
        return self.parsed

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the files; a memo is only kept of what is right."""
        return () if self.memo is not None else self.loaded().diagnostics

    @property
    def texts(self) -> Mapping[str, str]:
        """The texts of all files, for showing lines of them."""
        texts = {file.path: file.text for file in self.tree.files}
        found = self.workflows.values()
        return texts | {item.path: item.text for item in found if item.text is not None}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is declared."""
        return not (self.memo.desired if self.memo is not None else self.loaded().resources)


def read_folder(settings: Settings) -> Specs:
    """Read the spec folder, and parse it unless it is as it was; raises nothing for what it finds."""
    root = settings.specs
    tree = read_specs(root)
    memo = _read(settings)
    if memo is not None and not tree.diagnostics:
        workflows = read_workflows(root, memo.wanted)
        if memo.inputs == digest_of(settings, tree, workflows):
            return Specs(root=root, tree=tree, memo=memo, workflows=workflows)
    specs = Specs(root=root, tree=tree, memo=None)
    specs.loaded()
    return specs


def digest_of(settings: Settings, tree: Tree, workflows: Mapping[Wanted, WorkflowText]) -> str:
    """Hash all that a compilation depends on, apart from secrets and strangers' webhooks."""
    parts: list[str | None] = [_program(), settings.public_url, *tree.unread]
    for file in tree.files:
        parts += [file.path, file.relative, file.text]
    for want, found in sorted(workflows.items(), key=lambda item: (item[0].relative, item[0].file)):
        parts += [want.relative, want.file, found.path, found.text]
    return inputs_digest(parts)


def keeps_memos(settings: Settings) -> bool:
    """Whether there is local state to keep a memo beside."""
    return settings.state.is_dir()


def write_memo(settings: Settings, memo: Memo) -> None:
    """Keep *memo* beside the local state; losing it costs time only."""
    path = settings.state / MEMO
    with suppress(OSError, ReconcilerError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_text(path, encode(memo))


def _read(settings: Settings) -> Memo | None:
    try:
        return decode((settings.state / MEMO).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


@functools.cache
def _program() -> str:
    """Tell this program from any other state of it, also while it is being worked on."""
    folder = Path(reconciler.__file__).parent
    files = sorted(folder.rglob("*.py")) + sorted(folder.rglob("*.json"))
    stats = [(str(file), file.stat()) for file in files]
    return repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
