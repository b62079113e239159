"""`reconciler fmt`: bring spec files into their usual form; comments stay."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler import app
from reconciler.cli.options import output_option, settings_from, specs_option
from reconciler.cli.output import document, result, say
from reconciler.errors import ExitCode


@click.command()
@specs_option
@output_option
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--check", is_flag=True, help="Change nothing; exit code 2 when something would.")
def fmt(specs: Path | None, output: str, paths: tuple[Path, ...], *, check: bool) -> int:
    """Bring spec files into their usual form: key order and indentation. Comments stay."""
    from reconciler.source.write import replace_text
    from reconciler.spec import report
    from reconciler.spec.format import format_text

    roots = paths or (app.existing_root(settings_from({"specs": specs})),)
    changed: list[str] = []
    refused: list[str] = []
    for path in _files(roots):
        text = path.read_text(encoding="utf-8", errors="replace")
        formatted = format_text(text, str(path))
        if formatted.text is None:
            refused.append(str(path))
            say(report.text(formatted.diagnostics, {str(path): text}).rstrip("\n"))
        elif formatted.text != text:
            changed.append(str(path))
            if not check:
                replace_text(path, formatted.text)
    if output == "json":
        document({"format_version": "1.0", "changed": changed, "unreadable": refused})
    else:
        for name in changed:
            result(f"{'would change' if check else 'changed'} {name}")
        if not changed:
            print("all files are in form", file=sys.stderr)
    if refused:
        return ExitCode.INVALID_SPECS
    return ExitCode.CHANGES if check and changed else ExitCode.OK


def _files(roots: tuple[Path, ...]) -> list[Path]:
    found: set[Path] = set()
    for root in roots:
        if root.is_file():
            found.add(root)
            continue
        for pattern in ("*.yaml", "*.yml"):
            found.update(
                p
                for p in root.rglob(pattern)
                if p.is_file()
                and not any(part.startswith(".") for part in p.relative_to(root).parts)
            )
    return sorted(found)
