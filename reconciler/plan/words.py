"""Values, paths and names as text: safe for a terminal, short enough for a line, never a secret."""

from __future__ import annotations

import json
import re
import unicodedata

from reconciler.plan.diff import MISSING, Leaf
from reconciler.resource.payload import Json, Path, Ref, Sealed, Value

ABSENT = "(not set)"
_SIMPLE = re.compile(r"[\w$-]+")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})  # control, format (bidi), separators
_SHOWN = 4  # characters of a fingerprint: enough to see that it is another one


def clean(text: str) -> str:
    """Escape what could move the cursor, hide text or turn its direction."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def _escaped(character: str) -> str:
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(character)
    return known.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def shorten(text: str, width: int) -> str:
    """Cut *text* in the middle, so that it takes at most *width* characters."""
    if len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    tail = width - 1 - head
    return f"{text[:head]}…{text[len(text) - tail :]}"


def label(path: Path) -> str:
    """Write a path with dots; keys that are no plain words are quoted."""
    return ".".join(
        key if _SIMPLE.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in path
    )


def value(leaf: Leaf) -> str:
    """Write one value: references by address, secrets by fingerprint."""
    match leaf:
        case Ref(address, _, stale):
            return clean(f"{address} (replaced)" if stale else str(address))
        case Sealed():
            return f"(secret, fingerprint {_mark(leaf, 0)})"
        case dict() | list():
            return clean(json.dumps(_plain(leaf), ensure_ascii=False))
        case None:
            return "null"
        case _:
            return ABSENT if leaf is MISSING else clean(json.dumps(leaf, ensure_ascii=False))


def secret_change(before: Leaf, after: Leaf) -> str | None:
    """Describe how a secret changes; None when neither value is one."""
    if isinstance(before, Sealed) and isinstance(after, Sealed):
        if before == after:
            return f"(secret written again, fingerprint {_mark(after, 0)})"
        alike = before.fingerprint, after.fingerprint
        size = 0 if None in alike or len({(f or "")[:_SHOWN] for f in alike}) == 2 else 1
        return f"(secret changed, fingerprint {_mark(before, size)} -> {_mark(after, size)})"
    if isinstance(after, Sealed):
        return f"(secret set, fingerprint {_mark(after, 0)})"
    if isinstance(before, Sealed):
        return f"(secret removed, fingerprint {_mark(before, 0)})"
    return None


def plural(count: int, word: str) -> str:
    """Count *word*, as in ``1 node`` and ``2 nodes``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _mark(sealed: Sealed, size: int) -> str:
    if sealed.fingerprint is None:
        return "unknown"
    return sealed.fingerprint if size else sealed.fingerprint[:_SHOWN]


def _plain(item: Value) -> Json:
    match item:
        case Ref() | Sealed():
            return value(item)
        case dict():
            return {key: _plain(inner) for key, inner in item.items()}
        case list():
            return [_plain(inner) for inner in item]
        case _:
            return item
