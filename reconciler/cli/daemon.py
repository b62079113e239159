"""`reconciler daemon`: runs automations and keeps everything in step, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from reconciler.cli.options import server_options, settings_from, specs_option
from reconciler.cli.output import is_terminal, wants_color
from reconciler.errors import ExitCode
from reconciler.settings import Role, Settings

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@click.command()
@specs_option
@server_options
@click.option(
    "--roles",
    metavar="ROLES",
    help=f"What it does, separated by commas [default: {','.join(Role)}].",
)
@click.option("--concurrency", "worker_concurrency", metavar="N", help="Executions at a time [10].")
@click.option("--queues", metavar="CAUSES", help="Run only what these started, e.g. webhook,api.")
@click.option("--grace", metavar="SECONDS", help="To finish runs when told to stop [30].")
@click.option("--host", help="The address to listen on [127.0.0.1].")
@click.option("--port", metavar="PORT", help="The port to listen on; 0: a free one [8080].")
@click.option("--log-format", type=click.Choice(["auto", "json", "text"]), help="[auto]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
def daemon(**given: Any) -> int:
    """Run automations and keep specs, PostgreSQL and n8n in step, until told to stop.

    SIGTERM or Ctrl-C: finish what runs, within --grace, and hand the rest to other daemons;
    a second one: at once. Any number of daemons may share one database.
    """
    settings = settings_from(given)
    start_log(settings)
    code = asyncio.run(serve(settings))
    for number in _SIGNALS:  # the work is done: a late one must not spoil the exit code
        signal.signal(number, signal.SIG_IGN)
    return code


def start_log(settings: Settings) -> None:
    """Begin to log to stderr, in the format of the settings."""
    from reconciler.log import configure

    person = is_terminal(sys.stderr)
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not person)
    configure(as_json=as_json, level=settings.log_level, colour=wants_color(sys.stderr))


async def serve(
    settings: Settings,
    *,
    listening: Callable[[str], None] | None = None,
    stopping: asyncio.Event | None = None,
) -> int:
    """Run the daemon until a signal, or *stopping*, ends it; give the exit code."""
    from reconciler import __version__
    from reconciler.app.daemon import open_daemon
    from reconciler.log import get_logger

    log = get_logger("daemon")

    def ready(url: str) -> None:
        log.info(
            "listening",
            url=url,
            roles=list(settings.roles),
            version=__version__,
            process=os.getpid(),
        )
        if listening is not None:
            listening(url)

    stopping = stopping or asyncio.Event()
    async with open_daemon(settings, ready) as running:
        work = asyncio.create_task(running.run(stopping))
        on_signals(lambda: work.cancel() if stopping.is_set() else stopping.set())
        try:
            await work
        except asyncio.CancelledError:
            log.warning("ended at once")
            return int(ExitCode.INTERRUPTED)
    return int(ExitCode.OK)


def on_signals(call: Callable[[], object]) -> None:
    """Have *call* called for each signal that asks us to end."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, call)
