"""`validate` of many spec files against bare yaml.CSafeLoader over the same files, CPU time."""

from __future__ import annotations

import gc
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks.figures import Figure, Spent, against, timed
from benchmarks.generate import write_specs
from reconciler import app
from reconciler.settings import Settings

ROUNDS = 3
SHARED = 50  # workflow files that all automations share


def run(count: int) -> list[Figure]:
    """Measure both layouts: shared workflow files, and a file for each automation."""
    with tempfile.TemporaryDirectory() as folder:
        shared = write_specs(Path(folder) / "shared", count, workflows=SHARED)
        yaml_only, ours = _rounds(lambda: _yaml(shared), shared)
        first = against(
            "validate",
            f"{count} specs, {SHARED} workflow files, CPU",
            ours,
            yaml_only,
            at_most=3,
            note="baseline: yaml.CSafeLoader over the same YAML files, read from disk",
        )
        own = write_specs(Path(folder) / "own", count)
        both, ours_own = _rounds(lambda: _yaml_and_json(own), own)
    second = against(
        "validate",
        f"{count} specs, {count} workflow files, CPU",
        ours_own,
        both,
        note="baseline: CSafeLoader over the YAML and json.loads over the JSON files;"
        " eight nodes of each workflow are checked, which the baseline does not do",
    )
    return [first, second]


def _rounds(bare: Callable[[], object], root: Path) -> tuple[float, float]:
    """Alternate, so that a busy machine disturbs both; give the medians of CPU seconds."""
    pairs = []
    for _ in range(ROUNDS):
        gc.collect()
        floor = timed(bare)
        with like_the_command():
            pairs.append((floor, timed(lambda: _validate(root))))
    return Spent.middle(a for a, _ in pairs).cpu, Spent.middle(b for _, b in pairs).cpu


def _validate(root: Path) -> None:
    loaded = app.load_specs(root)
    compiled = app.check(loaded, Settings())
    assert compiled.ok, compiled.diagnostics[:3]


def _yaml(root: Path) -> None:
    for path in root.rglob("*.yaml"):
        for document in yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader):
            assert document


def _yaml_and_json(root: Path) -> None:
    _yaml(root)
    for path in root.rglob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def like_the_command() -> Iterator[None]:
    """Set the garbage collector as `reconciler.cli.main` does."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(200_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
