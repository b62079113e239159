"""JSON that strangers send, through a gate: depth, odd numbers, texts that PostgreSQL can't keep.

Whatever passes can be stored as jsonb and posted to n8n. Not here: its size, which is counted
while it is read, and its meaning. Files of ours are read by `reconciler.spec`, with marks.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, NoReturn

from reconciler.resource.payload import Json

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 300  # of a whole number: more is infinity to most readers
# Strings as one token each, so that brackets inside them do not count.
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_LONE: Final = re.compile("[\ud800-\udfff]")


class BadJson(ValueError):
    """This is not JSON that we take; the message is safe to show, it repeats no value."""


def read_json(body: bytes | str) -> Json:
    """Read a JSON text; raises BadJson."""
    text = body if isinstance(body, str) else _decode(body)
    _require_shallow(text)
    try:
        value: Json = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos}"
        raise BadJson(message) from None
    if "\\u" in text or "\0" in text:
        _require_storable(value)
    return value


def _decode(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"not UTF-8 at byte {error.start}"
        raise BadJson(message) from None


def _require_shallow(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                message = f"nested deeper than {MAX_DEPTH} levels"
                raise BadJson(message)
        elif sign in "]}":
            depth -= 1


def _require_storable(value: Json) -> None:
    text = json.dumps(value, ensure_ascii=False)
    if "\\u0000" in text and "\0" in _texts(value):
        message = "it contains the character \\u0000, which can't be stored"
        raise BadJson(message)
    if _LONE.search(text):
        message = "half of a pair of surrogates is not a character"
        raise BadJson(message)


def _texts(value: Json) -> str:
    """Join all texts of *value*, keys included."""
    found: list[str] = []
    waiting: list[Json] = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                found.append(text)
            case list() as items:
                waiting.extend(items)
            case dict() as fields:
                found.extend(fields)
                waiting.extend(fields.values())
            case _:
                pass
    return "".join(found)


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _too_large()
    return int(text)


def _number(text: str) -> float:
    value = float(text) if len(text) <= 2 * MAX_DIGITS else math.inf
    if math.isinf(value):
        raise _too_large()
    return value


def _constant(text: str) -> NoReturn:
    message = f"{text} is not JSON"
    raise BadJson(message)


def _too_large() -> BadJson:
    return BadJson("a number is too large")


_DECODER: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=_constant
)
