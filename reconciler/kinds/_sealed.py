"""Compare what an encrypted column holds with what was applied, by fingerprints only."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.kinds.kind import Seen
from reconciler.resource.payload import Sealed, Value

UNREADABLE = "(can't be decrypted)"


def stored(seen: Seen, column: str, text: str) -> Value:
    """Read an encrypted column: a fingerprint wherever the record has a secret."""
    recorded_row = seen.recorded.get("row")
    recorded = recorded_row.get(column) if isinstance(recorded_row, dict) else None
    known: Mapping[str, Value] = recorded if isinstance(recorded, dict) else {}
    if seen.reader is None:
        return dict(known)
    data = seen.reader.open(text)
    if data is None:
        return UNREADABLE
    found: dict[str, Value] = {}
    for field, value in data.items():
        mark = known.get(field)
        if isinstance(mark, Sealed):
            found[field] = Sealed(mark.name, seen.reader.fingerprint(field, str(value)))
        elif field in known and not isinstance(value, dict | list):
            found[field] = value
        else:
            found[field] = Sealed(field, seen.reader.fingerprint(field, str(value)))
    return found
