"""The HTTP server as a service of the daemon: listens, serves, and ends politely.

uvicorn's protocol on our own event loop (docs/decisions/0017-http-server.md), without its
server class, which would take over signals. Not here: what is served (`reconciler.web.app`).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from starlette.types import ASGIApp
from uvicorn.config import Config

from reconciler.errors import ConfigError
from reconciler.web.connection import Clocks, Connection, State

_BACKLOG = 2048


class HttpServer:
    """Serves *app* on *host* and *port* until it is told to stop; port 0 takes a free one.

    Handlers find the event that says "stop soon" in `scope["state"]["stopping"]`: whoever waits
    for something else should wait for that as well.
    """

    name = "http"

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        listening: Callable[[str], None] | None = None,
        grace: float = 30.0,
        clocks: Clocks | None = None,
    ) -> None:
        """*listening* is told the address once we listen; *grace* is for requests in flight."""
        self._app = app
        self._host = host
        self._port = port
        self._listening = listening
        self._grace = grace
        self._clocks = clocks or Clocks()

    @property
    def port(self) -> int:
        """The port that we listen on; 0 until `run` has found a free one."""
        return self._port

    @property
    def url(self) -> str:
        """Where we answer."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until *stopping*; then take no more, and let requests in flight finish.

        Raises ConfigError when the port is taken or the address isn't ours.
        """
        state = State()
        listener = await self._listen(state, stopping)
        if self._listening is not None:
            self._listening(self.url)
        try:
            await stopping.wait()
            listener.close()
            await self._drain(state)
        finally:
            listener.close()
            for connection in list(state.connections):
                connection.transport.abort()

    async def _listen(self, state: State, stopping: asyncio.Event) -> asyncio.Server:
        config = Config(
            self._app, interface="asgi3", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, proxy_headers=False,
        )  # fmt: skip
        config.load()
        shared = {"stopping": stopping}
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(
                lambda: Connection(config, state, shared, self._clocks),
                self._host,
                self._port,
                backlog=_BACKLOG,
            )
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            message = f"can't listen on {self._host}:{self._port}: {reason}"
            hint = "--port names another, 0 a free one"
            raise ConfigError(message, hint=hint) from None
        address = listener.sockets[0].getsockname()
        self._port = address[1] if listener.sockets[0].family != socket.AF_UNIX else 0
        return listener

    async def _drain(self, state: State) -> None:
        for connection in list(state.connections):
            connection.shutdown()
        if state.connections:
            state.empty.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(state.empty.wait(), self._grace)
