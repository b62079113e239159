"""Small files, short functions, few parameters, and a docstring at the head of each module."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import modules, place, tree

MAX_LINES = 400
MAX_FUNCTION = 50
MAX_PARAMETERS = 6
MAX_MEDIAN = 150
CODE = ("reconciler", "migrations", "benchmarks", "tests")


def functions(*folders: str) -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Give each function below *folders*."""
    for path in modules(*folders):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of *node* from `def` to its end."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Name the parameters a caller thinks about."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [argument.arg for argument in given if argument.arg not in {"self", "cls"}]


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules(*CODE)}

    assert {str(path): n for path, n in lengths.items() if n > MAX_LINES} == {}


def test_files_are_small_in_general() -> None:
    lengths = [len(p.read_text(encoding="utf-8").splitlines()) for p in modules("reconciler")]

    assert statistics.median(lengths) <= MAX_MEDIAN


def test_no_function_is_long() -> None:
    found = [
        f"{place(path, node)}: {node.name} has {length(node)} lines"
        for path, node in functions("reconciler")
        if length(node) > MAX_FUNCTION
    ]

    assert found == []


def test_no_function_takes_many_parameters() -> None:
    found = [
        f"{place(path, node)}: {node.name} takes {len(parameters(node))}"
        for path, node in functions("reconciler")
        if len(parameters(node)) > MAX_PARAMETERS and not is_command(node)
    ]

    assert found == []


def is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell a command of the command line: click hands each option over as a parameter."""
    return any(
        isinstance(part, ast.Attribute) and part.attr in {"command", "group", "option", "argument"}
        for decorator in node.decorator_list
        for part in ast.walk(decorator)
    )


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path in modules("reconciler", "benchmarks")
        if not ast.get_docstring(tree(path))
    ]

    assert silent == []


def test_nothing_is_called_utils_or_left_for_later() -> None:
    names = {"utils", "util", "helpers", "helper", "managers", "manager", "misc", "common"}
    vague = [str(path) for path in modules(*CODE) if path.stem in names]
    later = [
        f"{path}: {mark}"
        for path in modules("reconciler", "migrations", "benchmarks")
        for mark in ("TODO", "FIXME", "XXX", "HACK")
        if mark in path.read_text(encoding="utf-8")
    ]

    assert vague == []
    assert later == []


def test_no_test_uses_mocks() -> None:
    found = [
        place(path, node)
        for path in modules("tests")
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unittest"))
        or (isinstance(node, ast.Import) and any("unittest" in a.name for a in node.names))
    ]

    assert found == []
