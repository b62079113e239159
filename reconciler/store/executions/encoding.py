"""JSON on its way into a jsonb column: what PostgreSQL would refuse is found before.

One refused value would spoil a whole batch, and its error would name no row.
Not here: limits on size.
"""

from __future__ import annotations

import json
import math
from typing import Any

_NUL = "\\u0000"  # as json writes it
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(value: Any) -> str | None:
    """Write *value* as JSON text; None: PostgreSQL could not store it.

    It stores no NUL, no half of a surrogate pair, no NaN and no infinity.
    """
    try:
        text = _ENCODER.encode(value)
        text.encode()
    except (ValueError, RecursionError):
        return None
    # A backslash before it may be data: look closer, it is rare.
    return None if _NUL in text and _clean(value) != value else text


def encode_clean(value: Any) -> str:
    """Write *value* as JSON text with signs of replacement for what cannot be stored."""
    text = encode(value)
    if text is not None:
        return text
    try:
        return encode(_clean(value)) or "null"
    except RecursionError:
        return "null"


def clean(text: str | None) -> str | None:
    """Replace what a text column cannot hold."""
    if text is None:
        return None
    return text.replace("\0", _REPLACEMENT).encode(errors="replace").decode()


def _clean(value: Any) -> Any:
    match value:
        case str():
            return clean(value)
        case dict():
            return {clean(str(key)): _clean(item) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item) for item in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
