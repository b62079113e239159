"""A TCP proxy that breaks connections on purpose: to lose an answer, or a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class BreakingProxy:
    """Passes bytes on, until it is told to fail.

    A request that contains *lose* is delivered and its answer dropped; while *frozen*,
    requests vanish and nothing ever answers.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self.lose: bytes | None = None
        self.frozen = False
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[BreakingProxy]:
        """Listen on a free loopback port, `port`."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    def cut(self) -> None:
        """Break all connections now."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, far_writer}
        answers = asyncio.create_task(self._pass_on(far_reader, writer))
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.lose is not None and self.lose in data:
                    answers.cancel()
                    far_writer.write(data)
                    await far_writer.drain()
                    await far_reader.read(1)  # the server has answered: the work is done
                    break
                if self.frozen:
                    continue
                far_writer.write(data)
                await far_writer.drain()
        for end in (writer, far_writer):
            end.transport.abort()
            self._writers.discard(end)
        answers.cancel()
        with suppress(asyncio.CancelledError):
            await answers

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
