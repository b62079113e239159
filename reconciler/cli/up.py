"""`reconciler up`: PostgreSQL and n8n on this machine, the specs applied, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from reconciler import app
from reconciler.app.planning import Wish
from reconciler.app.source import note_applied
from reconciler.app.specs import Specs, read_folder
from reconciler.cli.daemon import on_signals, serve, start_log
from reconciler.cli.findings import write_findings
from reconciler.cli.options import KEY_FILE, settings_from, specs_option
from reconciler.cli.output import result, say
from reconciler.cli.planned import planned_from
from reconciler.cli.progress import Progress
from reconciler.cli.starting import Starting
from reconciler.cli.summary import report_text
from reconciler.cli.welcome import first_call, tell
from reconciler.embedded.keys import ensure_key_file
from reconciler.embedded.service import remembered_port, steady_port
from reconciler.embedded.stack import Stack, require_alone, termination_interrupts
from reconciler.engine.outcome import Report
from reconciler.engine.safe import environment_names
from reconciler.errors import ExitCode, UnreachableError
from reconciler.plan.planner import PlanOptions
from reconciler.settings import Settings, Source
from reconciler.vault.standins import make_standins

_LOOK_EVERY = 2.0  # seconds between two looks at whether our servers still run


@click.command()
@specs_option
@click.option("--once", is_flag=True, help="Apply and end, instead of staying.")
@click.option("--no-daemon", is_flag=True, help="Only the servers: nothing is run or kept in step.")
@click.option(
    "--follow",
    is_flag=True,
    help="Apply files when they are saved, undo what is changed elsewhere.",
)
@click.option("--port", help="Where the daemon listens [8080, or a free one].")
def up(specs: Path | None, port: str | None, *, once: bool, no_daemon: bool, follow: bool) -> int:
    """Start PostgreSQL and n8n here, apply the specs, run automations, stay until Ctrl-C.

    State lies below .reconciler/. DATABASE_URL or N8N_URL, where set, are used instead
    of an embedded server.
    """
    settings = settings_from({"specs": specs, "port": port})
    require_alone(settings.state)  # first: its port is not taken by "another program"
    settings = _placed(settings, follow=follow)
    own = {Source.ENVIRONMENT, Source.FILE, Source.FLAG}
    outside_database = settings.database_url if settings.source("database_url") in own else None
    outside_n8n = settings.n8n_url if settings.source("n8n_url") in own else None
    say(f"reconciler up: state in {settings.state}/, specs in {settings.specs}/")
    with (
        Starting() as starting,
        Stack(
            settings.state,
            want_postgres=outside_database is None,
            want_n8n=outside_n8n is None,
            external_database_url=outside_database.get_secret_value() if outside_database else None,
            public_url=settings.public_url,
            progress=starting.progress,
        ) as stack,
    ):
        known: dict[str, Any] = {
            "database_url": SecretStr(stack.database_url),
            "stand_ins": True,
        }
        if outside_n8n is None:
            known |= {
                "n8n_url": stack.n8n_url,
                "n8n_api_key": SecretStr(stack.n8n_api_key),
            }
        if settings.encryption_key is None:
            known["encryption_key"] = SecretStr(ensure_key_file(settings.state / KEY_FILE))
        settings = settings.model_copy(update=known)
        with termination_interrupts():
            code = _apply(settings, starting)
        if code is ExitCode.INTERRUPTED:
            return int(code)
        if once:
            return int(code)
        lost = asyncio.run(_stay(settings, stack, with_daemon=not no_daemon))
    if lost is not None:
        message = f"{lost} ended by itself"
        raise UnreachableError(message, hint=f"its log is below {settings.state}/; start again")
    return ExitCode.OK


def _placed(settings: Settings, *, follow: bool) -> Settings:
    """Choose the port of the daemon, where webhook callers find it, and what it does by itself."""
    changed: dict[str, Any] = {}
    if settings.source("port") is Source.DEFAULT or settings.port == 0:
        note = settings.state / "port.json"
        before = remembered_port(note) or settings.port
        changed["port"] = steady_port(note, settings.port)
        if changed["port"] != before:
            say(
                f"port {before} is taken by another program; this time the daemon listens on"
                f" {changed['port']}, and webhook addresses change with it (--port chooses one)"
            )
    if settings.source("public_url") is Source.DEFAULT:
        changed["public_url"] = f"http://127.0.0.1:{changed.get('port', settings.port)}"
    # People try things here, in files and in n8n's editor: plan and drift tell what they did, and
    # it is applied or undone when they ask. A branch is followed: nobody edits it here.
    own_ways = {"heal_drift": follow, "apply_commits": follow or settings.git_url is not None}
    changed |= {n: on for n, on in own_ways.items() if settings.source(n) is Source.DEFAULT}
    return settings.model_copy(update=changed)


def _apply(settings: Settings, starting: Starting) -> ExitCode:
    """Upgrade the database and apply the specs; wrong specs leave the servers running."""
    from reconciler.store import migrate

    assert settings.database_url is not None
    starting.progress("upgrading the database", None)
    ran = asyncio.run(migrate.upgrade(settings.database_url.get_secret_value()))
    starting.end()
    if ran:
        say(f"database upgraded to {ran[-1]}")
    if not settings.specs.is_dir():
        say(f"there is no spec folder {settings.specs}; `reconciler init` makes one")
        return ExitCode.OK
    specs = read_folder(settings)
    loaded = specs.loaded()
    if not loaded.ok:
        write_findings(loaded.diagnostics, loaded.texts)
        say("the specs have errors and were not applied; fix them, then `reconciler apply`")
        return ExitCode.INVALID_SPECS
    standins = settings.state / app.STANDINS
    missing = [n for n in environment_names(loaded.resources) if not os.environ.get(n)]
    made = make_standins(standins, missing)
    if made:
        say(f"made up {len(made)} secrets for this machine in {standins}")
    report = asyncio.run(_turn(settings, specs))
    return report.exit_code


async def _turn(settings: Settings, specs: Specs) -> Report:
    read: asyncio.Future[Specs] = asyncio.get_running_loop().create_future()
    read.set_result(specs)
    async with app.open_session(settings, needs_key=True) as session:
        async with session.lock("up").acquire(
            30.0, on_wait=lambda h: say(f"waiting for {h}")
        ) as held:
            wish = Wish(options=PlanOptions(revision=app.spec_revision(settings)))
            planned = await planned_from(session, read, wish)
            with Progress(planned.plan) as progress:
                report = await session.carry_out(planned, held, progress.done)
            await note_applied(session.database, settings, planned.plan.revision, report)
    if report.outcomes:
        report_text(report)
    else:
        result("No changes.")
    return report


async def _stay(settings: Settings, stack: Stack, *, with_daemon: bool) -> str | None:
    """Run the daemon until somebody ends us, or a server of ours ends: then say which."""
    stopping = asyncio.Event()
    watching = asyncio.create_task(_watch(stack, stopping))
    try:
        if with_daemon:
            await _daemon(settings, stopping)
        else:
            on_signals(stopping.set)
            tell(settings, None, serving=False)
            await stopping.wait()
    finally:
        watching.cancel()
    return stack.ended()


async def _daemon(settings: Settings, stopping: asyncio.Event) -> None:
    start_log(settings)
    call = await first_call(settings)
    await serve(settings, listening=lambda _: tell(settings, call), stopping=stopping)


async def _watch(stack: Stack, stopping: asyncio.Event) -> None:
    while await asyncio.to_thread(stack.ended) is None:  # noqa: ASYNC110 - other processes
        await asyncio.sleep(_LOOK_EVERY)
    stopping.set()
