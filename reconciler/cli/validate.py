"""`reconciler validate`: check the spec files, offline."""

from __future__ import annotations

import os
from pathlib import Path

import click

from reconciler import app
from reconciler.cli.options import settings_from, specs_option
from reconciler.cli.output import painter, result, say, wants_color
from reconciler.diagnostics import Severity
from reconciler.errors import ExitCode

FORMATS = ("text", "json", "github", "gitlab", "sarif", "junit")


@click.command()
@specs_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="How to print findings; github is chosen by itself in GitHub Actions.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), help="Same as --format.")
@click.option("--notes", is_flag=True, help="Print notes, too, such as code inside workflows.")
@click.option("--strict", is_flag=True, help="Warnings are errors, too.")
def validate(
    specs: Path | None, format_: str | None, output: str | None, *, notes: bool, strict: bool
) -> int:
    """Check the spec files: syntax, fields, references, workflows. Needs no server."""
    import sys

    from reconciler.spec import report

    settings = settings_from({"specs": specs})
    loaded = app.load_specs(settings.specs)
    compiled = app.check(loaded, settings, notes=notes)
    findings = compiled.diagnostics
    chosen = format_ or output or ("github" if os.environ.get("GITHUB_ACTIONS") else "text")
    if findings or chosen != "text":
        if chosen == "text":
            text = report.text(findings, loaded.texts, colour=wants_color(sys.stdout))
        else:
            text = report.render(findings, loaded.texts, chosen)
        result(text.rstrip("\n"))
    errors = sum(d.is_error for d in findings)
    warnings = sum(d.severity is Severity.WARNING for d in findings)
    failed = errors or (strict and warnings)
    if chosen == "text":
        count = f"{_plural(loaded.documents, 'document')} in {_plural(loaded.files, 'file')}"
        if failed:
            say(painter(sys.stderr)("error", f"{count}: {_count(errors, warnings)}"))
        else:
            verb = "is" if loaded.documents == 1 else "are"
            result(f"{count} {verb} valid" + (f", {_count(0, warnings)}" if warnings else ""))
    return ExitCode.INVALID_SPECS if failed else ExitCode.OK


def _count(errors: int, warnings: int) -> str:
    parts = [_plural(errors, "error")] if errors else []
    parts += [_plural(warnings, "warning")] if warnings else []
    return ", ".join(parts) or "no findings"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
