"""Options that several commands share, and the settings they lead to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from reconciler.resource.address import Address

if TYPE_CHECKING:
    from reconciler.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
KEY_FILE = "encryption.key"
_DAEMON = (
    "roles", "worker_concurrency", "queues", "grace", "host", "port", "log_format", "log_level",
)  # fmt: skip
FLAGS = ("specs", "database_url", "n8n_url", "concurrency", *_DAEMON)


def output_option(command: F) -> F:
    """Add -o/--output."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="json: exactly one document on stdout.",
    )(command)


def specs_option(command: F) -> F:
    """Add --specs."""
    return click.option(
        "--specs",
        type=click.Path(path_type=Path),
        help="The folder with the spec files [default: specs].",
    )(command)


def server_options(command: F) -> F:
    """Add --database-url and --n8n-url."""
    database = click.option("--database-url", help="PostgreSQL [env: DATABASE_URL].")
    n8n = click.option("--n8n-url", help="n8n [env: N8N_URL; its key: N8N_API_KEY].")
    return database(n8n(command))


def scope_options(command: F) -> F:
    """Add --target, --prune, --allow-remove and --organization."""
    options = (
        click.option(
            "--target",
            "targets",
            multiple=True,
            metavar="ADDRESS",
            help="Only this resource and what it needs; may be repeated.",
        ),
        click.option("--prune", is_flag=True, help="Remove what is no longer declared."),
        click.option(
            "--allow-remove",
            type=click.IntRange(min=0),
            metavar="N",
            help="Let --prune remove up to N resources.",
        ),
        click.option(
            "--organization",
            "organizations",
            multiple=True,
            metavar="NAME",
            help="Only this organization; may be repeated [default: all].",
        ),
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


def settings_from(given: Mapping[str, Any]) -> Settings:
    """Put the settings together from the flags in *given* and everything below them.

    What a running `up` knows counts for its own servers only: its API key is never sent to
    another n8n, its key and stand-ins never serve another database.
    """
    from reconciler.embedded.running import read_running
    from reconciler.settings import STATE_FOLDER, load_settings

    flags = {name: given.get(name) for name in FLAGS}
    state = Path(STATE_FOLDER)
    explicit = load_settings(flags)
    running = read_running(state)
    if running is None:
        return explicit
    known: dict[str, Any] = {}
    database = explicit.database_url and explicit.database_url.get_secret_value()
    if running.database_url and database in {None, running.database_url}:
        known |= {"database_url": running.database_url, "stand_ins": True}
        if (state / KEY_FILE).is_file():
            known["encryption_key_file"] = state / KEY_FILE
        if running.public_url:
            known["public_url"] = running.public_url
    if running.n8n_url and explicit.n8n_url in {None, running.n8n_url}:
        known |= {"n8n_url": running.n8n_url, "n8n_api_key": running.n8n_api_key}
    return load_settings(flags, known)


def addresses(texts: tuple[str, ...]) -> frozenset[Address] | None:
    """Read addresses from the command line; raises UsageError."""
    found = set()
    for text in texts:
        try:
            found.add(Address.parse(text))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return frozenset(found) or None
