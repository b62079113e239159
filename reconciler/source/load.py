"""Reads and links the whole spec root in one call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.source.files import read_specs, read_workflows
from reconciler.spec.link import Loaded, Models, tidy
from reconciler.spec.load import link, read


def load(root: Path, models: Models) -> Loaded:
    """Read everything below *root*; what is wrong is in the result, nothing is raised."""
    tree = read_specs(root)
    first = read(tree.files, models, tree.unread)
    loaded = link(first, read_workflows(root, first.wanted))
    return replace(loaded, diagnostics=tidy([*tree.diagnostics, *loaded.diagnostics]))
