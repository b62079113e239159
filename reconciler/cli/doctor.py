"""`reconciler doctor`: check settings, servers and the installation."""

from __future__ import annotations

import asyncio
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import Any

import click

from reconciler import __version__
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import document, escape, painter, result
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.settings import ENVIRONMENT, Settings

_SECRET = frozenset({"n8n_api_key", "encryption_key", "encryption_keys_old"})
_MARK = {"ok": "create", "warning": "warning", "failed": "error"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: str  # ok, warning, failed
    detail: str
    hint: str | None = None


@click.command()
@specs_option
@server_options
@output_option
def doctor(output: str, **given: Any) -> int:
    """Check settings, database, n8n, keys and specs; say where each setting came from."""
    settings = settings_from(given)
    checks = [Check("reconciler", "ok", f"{__version__}, Python {sys.version.split()[0]}")]
    checks += asyncio.run(_servers(settings))
    checks += _local(settings)
    origins = {name: str(settings.source(name)) for name in ENVIRONMENT if _is_set(settings, name)}
    failed = any(check.state == "failed" for check in checks)
    if output == "json":
        document(
            {
                "format_version": "1.0",
                "ok": not failed,
                "checks": [asdict(check) for check in checks],
                "settings": {
                    n: {"value": _shown(settings, n), "from": o} for n, o in origins.items()
                },
            }
        )
    else:
        _print(settings, checks, origins)
    unreachable = any(c.state == "failed" and c.name in {"database", "n8n"} for c in checks)
    if not failed:
        return ExitCode.OK
    return ExitCode.UNREACHABLE if unreachable else ExitCode.BAD_CONFIGURATION


def _print(settings: Settings, checks: list[Check], origins: dict[str, str]) -> None:
    paint = painter(sys.stdout)
    for check in checks:
        result(
            f"{paint(_MARK[check.state], f'{check.state:<8}')} {check.name}: {escape(check.detail)}"
        )
        if check.hint:
            result(f"         {paint('help', 'help:')} {escape(check.hint)}")
    result("\nsettings")
    for name, origin in origins.items():
        result(f"  {name} = {escape(_shown(settings, name))}  (from {origin})")


async def _servers(settings: Settings) -> list[Check]:
    return [await _database(settings), *await _n8n(settings)]


async def _database(settings: Settings) -> Check:
    from reconciler import app

    try:
        async with app.open_database(settings) as database:
            async with database.transaction() as connection:
                number = connection.info.server_version
            version = f"{number // 10_000}.{number % 10_000}"
            return Check(
                "database", "ok", f"{database.place}, PostgreSQL {version}, schema current"
            )
    except ReconcilerError as error:
        return Check("database", "failed", str(error), error.hint)


async def _n8n(settings: Settings) -> list[Check]:
    from reconciler import app
    from reconciler.embedded.n8n_install import PINNED_VERSION
    from reconciler.n8n.instance import facts

    try:
        async with app.open_n8n(settings) as api:
            await api.get("/workflows", limit=1)
            found = await facts(api)
    except ReconcilerError as error:
        return [Check("n8n", "failed", str(error), error.hint)]
    version = found.version or "of unknown version"
    state = "ok" if version == PINNED_VERSION else "warning"
    hint = None if state == "ok" else f"reconciler is tested with n8n {PINNED_VERSION}"
    edition = "licensed" if found.licensed else "Community Edition"
    checks = [Check("n8n", state, f"{settings.n8n_url}, {version}, {edition}", hint)]
    if found.excluded_nodes:
        nodes = ", ".join(sorted(found.excluded_nodes))
        checks.append(Check("n8n nodes", "ok", f"switched off by its operator: {nodes}"))
    return checks


def _local(settings: Settings) -> list[Check]:
    from reconciler import app

    checks: list[Check] = []
    try:
        ring = app.keyring(settings)
    except ReconcilerError as error:
        checks.append(Check("encryption key", "failed", str(error), error.hint))
    else:
        state, text = ("ok", "set") if ring else ("warning", "not set: plans can't compare secrets")
        checks.append(Check("encryption key", state, text))
    if shutil.which("git") is None:
        checks.append(Check("git", "warning", "not installed: revisions are not recorded"))
    try:
        loaded = app.load_specs(settings.specs)
    except ReconcilerError as error:
        checks.append(Check("specs", "warning", str(error), error.hint))
    else:
        wrong = sum(d.is_error for d in loaded.diagnostics)
        text = f"{loaded.documents} documents in {loaded.files} files"
        state = "failed" if wrong else "ok"
        hint = "run `reconciler validate`" if wrong else None
        checks.append(Check("specs", state, f"{text}, {wrong} errors", hint))
    return checks


def _is_set(settings: Settings, name: str) -> bool:
    return getattr(settings, name) is not None


def _shown(settings: Settings, name: str) -> str:
    if name in _SECRET:
        return "(secret)"
    if name == "database_url":
        from reconciler.store.database import Database

        url = settings.database_url
        return "" if url is None else Database(url.get_secret_value()).place
    value = getattr(settings, name)
    return ",".join(value) if isinstance(value, tuple) else str(value)
