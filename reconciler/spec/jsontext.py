"""JSON text to values, through a gate: size, depth, duplicate keys, odd numbers and texts.

Not here: whether the JSON is a workflow (`reconciler.workflow`).
"""

from __future__ import annotations

import json
import math
import re
from typing import Final

from reconciler.diagnostics import Diagnostic, Mark, Severity
from reconciler.resource.payload import Json
from reconciler.spec.jsonmarks import mark_at

MAX_DEPTH: Final = 64
_MAX_DIGITS: Final = 20
MAX_SAFE_INTEGER: Final = 2**53
# Strings as one token each, so that brackets inside them do not count; an
# unterminated one ends with the text, so that the scan stays linear.
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_UNBRACKETED: Final = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[^\[\]{}"]++', re.DOTALL)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_LONE: Final = re.compile("[\ud800-\udfff]")
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class _Refused(Exception):
    pass


class _Hooks:
    """What the json module calls back; collects what it cannot place."""

    def __init__(self) -> None:
        self.duplicates: list[str] = []

    def pairs(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        """Build an object and notice keys that come twice."""
        made = dict(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            self.duplicates += [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
        return made

    @staticmethod
    def integer(text: str) -> int:
        """Read an integer that survives other JSON readers."""
        if len(text) > _MAX_DIGITS or abs(int(text)) > MAX_SAFE_INTEGER:
            message = "a whole number is too large to be kept exactly"
            raise _Refused(message, text)
        return int(text)

    @staticmethod
    def number(text: str) -> float:
        """Read a finite number."""
        value = float(text) if len(text) <= 400 else math.inf
        if math.isinf(value):
            message = "a number is too large"
            raise _Refused(message, text)
        return value

    @staticmethod
    def constant(text: str) -> float:
        """Refuse what is not JSON though Python writes it."""
        message = f"{text} is not JSON"
        raise _Refused(message, text)


def parse_json(text: str, path: str) -> tuple[Json, list[Diagnostic]]:
    """Read *text*; a value with errors beside it must not be used."""
    text = text.removeprefix("\ufeff")
    deep = _too_deep(text)
    if deep is not None:
        message = f"nested deeper than {MAX_DEPTH} levels"
        return None, [_error("JSN102", message, mark_at(text, deep, path))]
    hooks = _Hooks()
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=hooks.pairs,
            parse_int=hooks.integer,
            parse_float=hooks.number,
            parse_constant=hooks.constant,
        )
    except json.JSONDecodeError as error:
        message = f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        return None, [_error("JSN101", message, mark_at(text, error.pos, path))]
    except _Refused as error:
        message, word = error.args
        found = re.search(r"(?<![\w.+-])" + re.escape(word[:200]), text)
        mark = mark_at(text, found.start() if found else 0, path)
        return None, [_error("JSN104", message, mark)]
    return value, [*_duplicates(text, hooks.duplicates, path), *_characters(text, value, path)]


def _error(code: str, message: str, mark: Mark, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, mark, hint)


def _too_deep(text: str) -> int | None:
    if _is_shallow(text):
        return None
    depth = 0
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return match.start()
        elif sign in "]}":
            depth -= 1
    return None


def _is_shallow(text: str) -> bool:
    """Whether *text* is surely not too deep, which is cheap to see for nearly every file.

    A round takes away one level of each kind of brackets, so at most two.
    """
    brackets = _UNBRACKETED.sub("", text)
    for _ in range(MAX_DEPTH // 2):
        if not brackets:
            return True
        brackets = brackets.replace("[]", "").replace("{}", "")
    return not brackets


def _duplicates(text: str, keys: list[str], path: str) -> list[Diagnostic]:
    found = []
    for key in dict.fromkeys(keys):
        places = [m.start() for m in re.finditer(re.escape(json.dumps(key)) + r"\s*:", text)]
        places = places or [
            m.start() for m in re.finditer(re.escape(json.dumps(key, ensure_ascii=False)), text)
        ]
        last = mark_at(text, places[-1] if places else 0, path)
        message = f'the key "{key}" stands twice in one object'
        found.append(_error("JSN103", message, last, "remove one of the two"))
    return found


def _characters(text: str, value: Json, path: str) -> list[Diagnostic]:
    if text.isascii() and "\\u" not in text:
        return []  # nearly every file, and the expressions below take longer than reading it
    nul = _NUL.search(text)
    if nul is not None:
        message = "PostgreSQL cannot keep the character \\u0000"
        return [_error("JSN105", message, mark_at(text, nul.start(), path))]
    if _LONE.search(text) is None:
        first = _SURROGATE.search(text)
        if first is None or _LONE.search(json.dumps(value, ensure_ascii=False)) is None:
            return []
        at = first.start()
    else:
        at = 0
    message = "half of a pair of surrogates is not a character"
    return [_error("JSN105", message, mark_at(text, at, path))]
