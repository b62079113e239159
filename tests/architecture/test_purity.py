"""The core computes: it does not wait, read, write, look at a clock or roll dice.

Import contracts forbid the modules; this looks at what they can't see: calls,
coroutines, and names taken from a module that is partly fine (`pathlib`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import PURE, modules, place, tree

CALLS = {
    "uuid1",
    "uuid4",
    "open",
    "print",
    "input",
    "exec",
    "eval",
    "compile",
    "__import__",
    "breakpoint",
}
METHODS = {
    "now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes", "getenv",
    "uuid1", "uuid4", "urandom", "token_hex", "token_urlsafe", "sleep",
}  # fmt: skip
PURE_PATHS = {"PurePath", "PurePosixPath", "PureWindowsPath"}
# Its data are part of the package: reading them is like importing a module.
READS_ITS_OWN_DATA = {"catalog.py"}


def impurities(module: ast.Module, *, may_read: bool = False) -> Iterator[tuple[ast.AST, str]]:
    """Find what a pure module may not contain."""
    ports = {
        id(method)
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.dump(b) for b in node.bases)
        for method in node.body
    }
    for node in ast.walk(module):
        match node:
            case ast.AsyncFunctionDef() if id(node) not in ports:
                yield node, f"async def {node.name}"
            case ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield node, "await"
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                yield node, f"{name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in METHODS and not (
                may_read and name.startswith("read_")
            ):
                yield node, f".{name}()"
            case ast.ImportFrom(module="pathlib", names=names):
                for alias in names:
                    if alias.name not in PURE_PATHS:
                        yield node, f"pathlib.{alias.name}"
            case ast.Import(names=names) if any(alias.name == "pathlib" for alias in names):
                yield node, "pathlib as a whole"
            case ast.Attribute(attr="environ"):
                yield node, "environ"


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_does_nothing_but_compute(package: str) -> None:
    found = [
        f"{place(path, node)}: {what}"
        for path in modules(f"reconciler/{package}")
        for node, what in impurities(tree(path), may_read=path.name in READS_ITS_OWN_DATA)
    ]

    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "async def f(): pass",
        "open('x')",
        "from datetime import datetime\ndatetime.now()",
        "from pathlib import Path",
        "import os\nos.environ['A']",
        "class A:\n  async def f(self): pass",
        "p.read_text()",
    ],
)
def test_the_walk_finds_what_is_not_pure(code: str) -> None:
    assert list(impurities(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "class Port(Protocol):\n  async def f(self): ...",
        "from pathlib import PurePosixPath",
        "def f(now): return now",
    ],
)
def test_the_walk_lets_pure_code_pass(code: str) -> None:
    assert list(impurities(ast.parse(code))) == []


def test_there_is_something_to_walk() -> None:
    counts = {package: len(list(modules(f"reconciler/{package}"))) for package in PURE}

    assert all(count > 1 for count in counts.values()), counts
    assert all(isinstance(path, Path) for path in modules("reconciler"))
