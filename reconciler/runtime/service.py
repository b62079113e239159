"""What the supervisor runs: a service works until it is told to stop. Not here: any service."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Service(Protocol):
    """One of the daemon's jobs; the supervisor starts it again when it fails."""

    @property
    def name(self) -> str:
        """The word for it in logs and metrics."""
        raise NotImplementedError

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until *stopping* is set, then finish in an orderly way and return.

        Being cancelled means: at once, without waiting for anything.
        """
        raise NotImplementedError
