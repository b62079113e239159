"""JSON that is nested deeper than Python's reader goes: what lies too deep is cut away. Pure.

A workflow may give such data, and n8n puts it into a listing beside the runs of others. Not here:
ordinary answers, which the reader of the standard library takes much faster.
"""

from __future__ import annotations

import json
import re
from typing import Final

from reconciler.resource.payload import Json

LEVELS: Final = 250  # that are kept
CUT: Final = "[nested too deeply]"
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{}\]]', re.DOTALL)


def read_deep(content: bytes) -> Json:
    """Read JSON of any depth, as far as `LEVELS`; raises ValueError for what is no JSON."""
    kept: list[bytes] = []
    level = at = 0
    for token in _TOKEN.finditer(content):
        if token[0] in b"[{":
            level += 1
            if level == LEVELS + 1:
                kept.append(content[at : token.start()])
        elif token[0] in b"]}":
            if level == LEVELS + 1:
                kept.append(json.dumps(CUT).encode())
                at = token.end()
            level -= 1
    if level:
        raise ValueError("it ends too early")
    value: Json = json.loads(b"".join(kept) + content[at:])
    return value
