"""`reconciler db`: upgrade, downgrade and look at the database's version."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from reconciler.cli.confirm import ask
from reconciler.cli.options import output_option, settings_from
from reconciler.cli.output import document, result
from reconciler.errors import ConfigError


@click.group()
def db() -> None:
    """Upgrade, downgrade or look at the database's version."""


def _url(given: dict[str, Any]) -> str:
    url = settings_from(given).database_url
    if url is None:
        message = "no database is configured"
        raise ConfigError(message, hint="run `reconciler up`, or set DATABASE_URL")
    return str(url.get_secret_value())


@db.command()
@click.option("--database-url", help="PostgreSQL [env: DATABASE_URL].")
@output_option
@click.argument("revision", default="head")
def upgrade(database_url: str | None, output: str, revision: str) -> int:
    """Bring the database up to REVISION [default: head]. Keeps all data."""
    from reconciler.store import migrate

    ran = asyncio.run(migrate.upgrade(_url({"database_url": database_url}), revision))
    return _tell(output, ran, "upgraded")


@db.command(context_settings={"ignore_unknown_options": True})  # -1 is a revision
@click.option("--database-url", help="PostgreSQL [env: DATABASE_URL].")
@output_option
@click.argument("revision")
@click.option(
    "-y", "--yes", is_flag=True, help="Do not ask; a downgrade drops what later revisions made."
)
def downgrade(database_url: str | None, output: str, revision: str, *, yes: bool) -> int:
    """Take the database back to REVISION; `base` drops all that we made, and only that."""
    from reconciler.store import migrate

    ask(f"Downgrade the database to {revision}?", yes=yes)
    ran = asyncio.run(migrate.downgrade(_url({"database_url": database_url}), revision))
    return _tell(output, ran, "downgraded")


@db.command()
@click.option("--database-url", help="PostgreSQL [env: DATABASE_URL].")
@output_option
def current(database_url: str | None, output: str) -> int:
    """Show which revision the database has, and which this program needs."""
    from reconciler.store import migrate
    from reconciler.store.version import HEAD

    found = asyncio.run(migrate.current(_url({"database_url": database_url})))
    if output == "json":
        document({"format_version": "1.0", "current": found, "head": HEAD})
    else:
        note = "up to date" if found == HEAD else "run `reconciler db upgrade`"
        result(f"database: {found or 'empty'}, program: {HEAD} ({note})")
    return 0


def _tell(output: str, ran: list[str], verb: str) -> int:
    if output == "json":
        document({"format_version": "1.0", verb: ran})
    else:
        for revision in ran:
            result(f"{verb} {revision}")
        if not ran:
            result("nothing to do")
    return 0
