"""Reads and links the whole spec root in one call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.source.files import Tree, read_specs, read_workflows
from reconciler.spec.link import Loaded, Models, tidy
from reconciler.spec.load import link, read


def load(root: Path, models: Models) -> Loaded:
    """Read everything below *root*; what is wrong is in the result, nothing is raised."""
    return load_tree(root, read_specs(root), models)


def load_tree(root: Path, tree: Tree, models: Models) -> Loaded:
    """Do the same for spec files that were read already."""
    first = read(tree.files, models, tree.unread)
    loaded = link(first, read_workflows(root, first.wanted))
    return replace(loaded, diagnostics=tidy([*tree.diagnostics, *loaded.diagnostics]))
