"""The one place that looks at a clock; services take a `Clock`, pure code takes a datetime."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time as a service needs it."""

    def now(self) -> datetime:
        """Tell the time, aware and in UTC."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds*."""
        raise NotImplementedError


class SystemClock(Clock):
    """The machine's clock."""

    def now(self) -> datetime:
        """Tell the time, aware and in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds*."""
        await asyncio.sleep(seconds)
