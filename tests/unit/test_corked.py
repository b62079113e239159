"""A transport that sends a head and its body in one piece."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from reconciler.web.corked import Corked


class Wire:
    """Remembers what it was told to send."""

    def __init__(self) -> None:
        self.sent: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append("close")

    def abort(self) -> None:
        self.sent.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.sent

    def get_extra_info(self, name: str) -> str:
        return name


def corked() -> tuple[Wire, Corked]:
    wire = Wire()
    return wire, Corked(cast("Any", wire))


async def test_what_is_written_at_one_time_is_sent_in_one_piece() -> None:
    wire, transport = corked()
    transport.write(b"head, ")
    transport.write(b"body")
    assert wire.sent == []
    transport.flush()
    assert wire.sent == [b"head, body"]
    await asyncio.sleep(0)
    assert wire.sent == [b"head, body"]


async def test_nothing_waits_for_a_flush() -> None:
    wire, transport = corked()
    transport.write(b"head")
    await asyncio.sleep(0)
    transport.write(b"first chunk")
    await asyncio.sleep(0)
    assert wire.sent == [b"head", b"first chunk"]


async def test_what_was_written_is_sent_before_it_closes() -> None:
    wire, transport = corked()
    transport.write(b"good-bye")
    transport.close()
    assert wire.sent == [b"good-bye", "close"]
    assert transport.is_closing()


async def test_nothing_is_sent_after_it_was_aborted() -> None:
    wire, transport = corked()
    transport.write(b"half")
    transport.abort()
    await asyncio.sleep(0)
    assert wire.sent == ["abort"]


async def test_all_else_is_the_transports() -> None:
    _, transport = corked()
    assert transport.get_extra_info("peername") == "peername"
