"""A transport that sends in one piece what is written at one time: a head and its body.

Each piece would be a call of the system and wake the client, the first for nothing. Not here:
what is written.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Corked:
    """Stands before a transport; whatever is not about writing goes straight to it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._call_soon = asyncio.get_running_loop().call_soon
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send *data* with the next `flush`, or before the loop looks at anything else."""
        if not self._pieces:
            self._call_soon(self.flush)
        self._pieces.append(data)

    def flush(self) -> None:
        """Send what was written."""
        if self._pieces:
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._transport.write(data)

    def is_closing(self) -> bool:
        """Tell whether nothing more is sent."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Send what was written, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._pieces.clear()
        self._transport.abort()
