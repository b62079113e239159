"""`reconciler schema export`: the JSON Schemas that editors use."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import output_option
from reconciler.cli.output import document, result
from reconciler.errors import ExitCode


@click.group()
def schema() -> None:
    """Write the JSON Schemas that editors use."""


@schema.command()
@output_option
@click.argument("folder", default="schemas", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Change nothing; exit code 2 when something would.")
def export(output: str, folder: Path, *, check: bool) -> int:
    """Write one schema per kind into FOLDER [default: schemas]."""
    from reconciler.kinds.models import MODELS
    from reconciler.source.write import replace_text
    from reconciler.spec.schema import schemas

    changed: list[str] = []
    for name, text in schemas(MODELS).items():
        path = folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        changed.append(str(path))
        if not check:
            folder.mkdir(parents=True, exist_ok=True)
            replace_text(path, text)
    if output == "json":
        document({"format_version": "1.0", "changed": changed})
    else:
        for path_name in changed:
            result(f"{'would write' if check else 'wrote'} {path_name}")
    return ExitCode.CHANGES if check and changed else ExitCode.OK
