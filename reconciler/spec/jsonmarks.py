"""Where a value stands in a JSON text. Only used once something is wrong with it."""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias

from reconciler.diagnostics import Mark

Path: TypeAlias = tuple[str | int, ...]

_TOKEN: Final = re.compile(
    r'\s*+("(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{},:]|[^\s\[\]{},:"]++)', re.DOTALL
)


def mark_at(text: str, offset: int, path: str) -> Mark:
    """Turn an *offset* into *text* into a mark in the file *path*."""
    start = text.rfind("\n", 0, offset) + 1
    return Mark(path, text.count("\n", 0, offset) + 1, offset - start + 1)


def locate(text: str, path: Path, *, file: str, key: bool = False) -> Mark:
    """Find the value at *path*, or as much of the way as there is; never raises."""
    return mark_at(text, _offset(text, path, key=key), file)


def _offset(text: str, path: Path, *, key: bool) -> int:
    reader = _Reader(text)
    best = reader.start()
    for index, step in enumerate(path):
        found = reader.enter(step)
        if found is None:
            return best
        at_key, at_value = found
        best = at_key if key and index == len(path) - 1 else at_value
    return best


class _Reader:
    """Walks tokens; stands always before the value that was found last."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> tuple[str, int, int] | None:
        """Look at the next token: its text, beginning and end."""
        match = _TOKEN.match(self.text, self.at)
        return (match[1], match.start(1), match.end()) if match else None

    def take(self) -> str:
        """Take the next token; empty at the end."""
        token = self.peek()
        if token is None:
            return ""
        self.at = token[2]
        return token[0]

    def start(self) -> int:
        """Tell where the next token begins."""
        token = self.peek()
        return token[1] if token else 0

    def skip(self) -> None:
        """Pass over one value, however deep it is."""
        depth = 0
        while True:
            token = self.take()
            if token in {"[", "{"}:
                depth += 1
            elif token in {"]", "}"}:
                depth -= 1
            if not token or depth <= 0:
                return

    def enter(self, step: str | int) -> tuple[int, int] | None:
        """Go to one part of the value ahead; tell where its key and its value begin."""
        opened = self.take()
        if opened not in {"[", "{"}:
            return None
        index = 0
        while True:
            at_key = self.start()
            token = self.peek()
            if token is None or token[0] in {"]", "}"}:
                return None
            if opened == "{":
                name = _unquote(self.take())
                if self.take() != ":":
                    return None
                if name == str(step):
                    return at_key, self.start()
            elif index == step:
                return at_key, at_key
            self.skip()
            index += 1
            if (following := self.peek()) is not None and following[0] == ",":
                self.take()


def _unquote(token: str) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token
