"""Text from outside made fit to be shown: no character can act on a terminal or mislead."""

from __future__ import annotations

import re
from typing import Final

# C0, DEL and C1, direction marks and overrides, line separators, lone surrogates,
# the invisible characters that make two words look the same.
_ACTIVE: Final = re.compile(
    "[\0-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """Write every active or invisible character of *text* as an escape such as backslash x1b."""
    return _ACTIVE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\t\n\r":
        return {"\t": "\\t", "\n": "\\n", "\r": "\\r"}[match[0]]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
