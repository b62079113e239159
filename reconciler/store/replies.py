"""What Respond to Webhook nodes said: kept for the caller that waits, gone with the execution.

Not here: who may read it, and how it is passed on (`reconciler.web`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from reconciler.store.database import Database

LIMIT: Final = 262_144  # bytes of content; a longer one is cut off and not kept

_KEEP = b"""
INSERT INTO reconciler.replies (execution_id, status, headers, content)
SELECT e.id, %(status)s, %(headers)s::jsonb, %(content)s FROM workflow_executions AS e
WHERE e.id = %(id)s
ON CONFLICT (execution_id) DO UPDATE
SET status = excluded.status, headers = excluded.headers, content = excluded.content,
    at = clock_timestamp()
"""
_GET = b"SELECT status, headers, content FROM reconciler.replies WHERE execution_id = %(id)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Replies:
    """`reconciler.replies`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, execution_id: str, reply: Reply) -> bool:
        """Keep the reply of an execution, before its end is written; False: it is too long."""
        if len(reply.content) > LIMIT:
            return False
        headers = {name: value.replace("\0", "") for name, value in reply.headers.items()}
        values = {
            "id": execution_id,
            "status": reply.status,
            "headers": json.dumps(headers),
            "content": reply.content,
        }
        await self._database.execute(_KEEP, values)
        return True

    async def get(self, execution_id: str) -> Reply | None:
        """Give the reply of an execution; None when it made none."""
        rows = await self._database.execute(_GET, {"id": execution_id})
        if not rows:
            return None
        status, headers, content = rows[0]
        return Reply(status=status, headers=headers, content=bytes(content))
