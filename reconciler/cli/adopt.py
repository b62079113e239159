"""`reconciler adopt`: write workflows that exist in n8n into the spec folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from reconciler import app
from reconciler.cli.findings import write_findings
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import document, result, say
from reconciler.diagnostics import SpecError
from reconciler.errors import ConfigError, ExitCode, ReconcilerError, UsageError
from reconciler.settings import Settings
from reconciler.source.write import replace_text


@click.command()
@specs_option
@server_options
@output_option
@click.option("--organization", required=True, help="The organization that they shall belong to.")
@click.option("--owner", help="E-mail address for createdBy [default: the first ADMIN].")
@click.option("--all", "everything", is_flag=True, help="Every workflow that is not ours yet.")
@click.argument("ids", nargs=-1)
def adopt(ids: tuple[str, ...], output: str, *, everything: bool, **given: Any) -> int:
    """Write the workflows with these n8n IDS into the spec folder, and record them.

    Nothing in n8n is changed: its triggers keep firing, a plan made afterwards is empty.
    """
    if bool(ids) == everything:
        message = "name workflows by their n8n ids, or give --all"
        raise UsageError(message)
    settings = settings_from(given)
    wanted = None if everything else frozenset(ids)
    done = asyncio.run(_adopt(settings, wanted, given))
    refused = ExitCode.PARTLY_APPLIED if done["adopted"] else ExitCode.REFUSED
    code = refused if done["left"] and not everything else ExitCode.OK
    if output == "json":
        document({"format_version": "1.0", **done})
        return code
    for name in done["files"]:
        say(f"wrote {name}")
    for id_, why in done["left"].items():
        say(f"left alone {id_}: {why}")
    count = len(done["adopted"])
    result(
        f"adopted {count} workflow{'' if count == 1 else 's'}: {', '.join(done['adopted']) or '-'}"
    )
    return code


async def _adopt(
    settings: Settings, wanted: frozenset[str] | None, given: dict[str, Any]
) -> dict[str, Any]:
    loaded = now = app.load_specs(settings.specs)
    if not loaded.ok:
        message = "the spec folder has errors"
        raise ConfigError(message, hint="run `reconciler validate` first")
    async with app.open_session(settings, needs_key=True) as session:
        async with session.lock("adopt").acquire(10.0) as held:
            drafts = await session.drafts(loaded, wanted, given["organization"], given["owner"])
            written: list[Path] = []
            try:
                for draft in drafts.adopted:
                    for name, text in draft.files.items():
                        path = settings.specs / name
                        if path.exists():
                            message = f"{path} is there already"
                            raise UsageError(message, hint="move it away, or rename the workflow")
                        path.parent.mkdir(parents=True, exist_ok=True)
                        replace_text(path, text)
                        written.append(path)
                now = app.load_specs(settings.specs)
                await session.adopt(drafts, now, held)
            except ReconcilerError as error:
                if isinstance(error, SpecError):
                    write_findings(error.diagnostics, now.texts)
                for path in written:
                    path.unlink(missing_ok=True)
                raise
    return {
        "adopted": [str(draft.address) for draft in drafts.adopted],
        "files": [str(path) for path in written],
        "left": dict(drafts.left),
    }
