"""How an inventory entry looks in PostgreSQL: its SQL, and both ways of translation. Pure.

Payloads are kept as `json`, not `jsonb`: the text comes back as it was
written (order, number format, escaped NUL) and loads faster.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import (
    Json,
    Payload,
    Ref,
    Side,
    Value,
    from_json,
    payload_from_json,
    to_json,
)
from reconciler.resource.stamp import Stamp

_SCOPE = "(%(organizations)s::text[] IS NULL OR organization = ANY(%(organizations)s::text[]))"
_AT = "organization = %(organization)s AND kind = %(kind)s AND name = %(name)s"

LOAD = f"""
SELECT organization, kind, name, row_id, payload::text, attempted::text, object_id, deposed,
       stamp_version, stamp_published, stamp_updated_at, protected, removed_at IS NOT NULL, revision
FROM reconciler.resources WHERE {_SCOPE}
""".encode()

# Of the text that is there, not the column `digest`: somebody may have edited the one by hand.
DIGESTS = f"""
SELECT organization, kind, name, encode(sha256(convert_to(payload::text, 'UTF8')), 'hex')
FROM reconciler.resources WHERE {_SCOPE} AND digest IS NOT NULL
""".encode()

_INSERT = """
INSERT INTO reconciler.resources AS r (
    organization, kind, name, row_id, payload, digest, attempted, object_id, deposed,
    stamp_version, stamp_published, stamp_updated_at, protected, removed_at, revision, applied_at
) VALUES (
    %(organization)s, %(kind)s, %(name)s, %(row_id)s, %(payload)s, %(digest)s, %(attempted)s,
    %(object_id)s, %(deposed)s, %(version)s, %(published)s, %(updated_at)s, %(protected)s,
    CASE WHEN %(removed)s THEN clock_timestamp() END, %(revision)s, {applied}
)
ON CONFLICT (organization, kind, name) DO UPDATE SET
    {more} attempted = EXCLUDED.attempted, object_id = EXCLUDED.object_id,
    deposed = EXCLUDED.deposed, stamp_version = EXCLUDED.stamp_version,
    stamp_published = EXCLUDED.stamp_published, stamp_updated_at = EXCLUDED.stamp_updated_at,
    protected = EXCLUDED.protected, updated_at = clock_timestamp(),
    removed_at = CASE WHEN %(removed)s THEN COALESCE(r.removed_at, EXCLUDED.removed_at) END
WHERE r.row_id = EXCLUDED.row_id
"""

INTEND = _INSERT.format(applied="NULL", more="").encode()

# Entry and step in one statement, so that they need no transaction around them.
INTEND_STEP = f"""
WITH entry AS ({INTEND.decode()} RETURNING 1), step AS (
    INSERT INTO reconciler.operation_steps (
        operation_id, ordinal, organization, kind, name, action, reason, detail
    )
    SELECT %(operation)s, %(ordinal)s, %(step_organization)s, %(step_kind)s, %(step_name)s,
           %(action)s, %(reason)s, %(detail)s
    WHERE EXISTS (SELECT FROM entry)
)
SELECT count(*) FROM entry
""".encode()

SETTLE = _INSERT.format(
    applied="%(now)s",
    more="payload = EXCLUDED.payload, digest = EXCLUDED.digest, revision = EXCLUDED.revision, "
    "applied_at = EXCLUDED.applied_at,",
).encode()

OBJECT_CREATED = f"""
UPDATE reconciler.resources SET object_id = %(object_id)s, updated_at = clock_timestamp()
WHERE {_AT} RETURNING 1
""".encode()

DISTRUST = b"""
UPDATE reconciler.resources
SET stamp_version = NULL, stamp_published = NULL, stamp_updated_at = NULL
WHERE (organization, kind, name) IN (
    SELECT * FROM unnest(%(organizations)s::text[], %(kinds)s::text[], %(names)s::text[])
)
RETURNING 1
"""

MOVE = f"""
UPDATE reconciler.resources
SET organization = %(new_organization)s, kind = %(new_kind)s, name = %(new_name)s,
    applied_at = %(now)s, updated_at = clock_timestamp()
WHERE {_AT}
""".encode()

SET_CONDITIONS = f"""
UPDATE reconciler.resources SET conditions = %(conditions)s WHERE {_AT}
""".encode()

CONDITIONS = f"""
SELECT organization, kind, name, conditions FROM reconciler.resources
WHERE {_SCOPE} AND conditions <> '[]'
""".encode()


def key(address: Address) -> dict[str, Any]:
    """Name the entry of *address* for a statement."""
    return {"organization": address.organization, "kind": address.kind, "name": address.name}


def values(recorded: Recorded) -> dict[str, Any]:
    """Spread *recorded* over the parameters of `INTEND` and `SETTLE`."""
    stamp = recorded.stamp or Stamp()
    payload = encode(recorded.payload)
    return {
        **key(recorded.address),
        "row_id": recorded.row_id,
        "payload": payload,
        "digest": _hash(payload) if recorded.payload else None,
        "attempted": None if recorded.attempted is None else encode(recorded.attempted),
        "object_id": recorded.object_id,
        "deposed": list(recorded.deposed),
        "version": stamp.version,
        "published": stamp.published,
        "updated_at": stamp.updated_at,
        "protected": recorded.protected,
        "removed": recorded.removed,
        "revision": recorded.revision,
    }


def digest(payload: Payload) -> str:
    """Hash *payload* the way its entry is hashed."""
    return _hash(encode(payload))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_all(rows: Iterable[tuple[Any, ...]]) -> dict[Address, Recorded]:
    """Build the entries from the rows of `LOAD`."""
    with _without_collector():
        return {entry.address: entry for entry in map(_read, rows)}


def _read(row: tuple[Any, ...]) -> Recorded:
    version, published, updated_at = row[8:11]
    known = version is not None or published is not None or updated_at is not None
    return Recorded(
        address=Address(row[0], row[1], row[2]),
        row_id=row[3],
        payload=decode(row[4]),
        attempted=None if row[5] is None else decode(row[5]),
        object_id=row[6],
        deposed=tuple(row[7]),
        stamp=Stamp(version=version, published=published, updated_at=updated_at) if known else None,
        protected=row[11],
        removed=row[12],
        revision=row[13],
    )


def encode(payload: Payload) -> str:
    """Write a payload as JSON text, its references and seals included.

    This is the text whose hash is `payload.digest`, so it serves both. The JSON encoder walks
    the payload itself and asks only for the two leaves it doesn't know.
    """
    leaves = 0

    def tagged(leaf: Value) -> Json:
        nonlocal leaves
        leaves += 1
        return to_json(leaf)

    text = json.dumps(payload, default=tagged, sort_keys=True, separators=(",", ":"))
    if text.count('"$reconciler":') == leaves:
        return text
    # A user's own object has our key; `to_json` knows how to escape it.
    return json.dumps(to_json(payload), sort_keys=True, separators=(",", ":"))


def decode(text: str) -> Payload:
    """Read what `encode` wrote; most of the work is left to the JSON scanner."""
    if '"$reconciler"' not in text:
        plain: Payload = json.loads(text)
        return plain
    if '"$reconciler":"object"' in text:
        # An escaped object must be read from the outside in.
        return payload_from_json(json.loads(text))
    tagged: Payload = json.loads(text, object_hook=_leaf)
    return tagged


def _leaf(found: dict[str, Json]) -> object:
    tag = found.get("$reconciler")
    if tag is None:
        return found
    if tag == "ref":
        return _ref(str(found["address"]), str(found["side"]), bool(found.get("stale")))
    return from_json(found)


@lru_cache(maxsize=10_000)
def _ref(address: str, side: str, stale: bool) -> Ref:
    """Build a reference once: the same few occur in many payloads."""
    return Ref(Address.parse(address), Side(side), stale=stale)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the garbage collector: it would walk half-built payloads again and again."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
