"""`reconciler init`: make a spec repository to begin with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from reconciler.cli.options import output_option
from reconciler.cli.output import document, result, say
from reconciler.errors import UsageError


@click.command()
@output_option
@click.option("--organization", default="acme", show_default=True, help="Name of the organization.")
@click.option("--owner", default="ops@acme.example", show_default=True, help="Its first ADMIN.")
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
def init(output: str, organization: str, owner: str, folder: Path) -> int:
    """Make a spec repository in FOLDER: one organization, one automation, settings, schemas.

    Files that exist are never overwritten: the command refuses and writes nothing.
    """
    from reconciler.kinds.models import MODELS
    from reconciler.source.write import replace_text
    from reconciler.spec.model import name_problem
    from reconciler.spec.quantity import is_email
    from reconciler.spec.schema import schemas

    problem = name_problem(organization)
    if problem is not None:
        raise UsageError(problem.message, hint=problem.hint)
    if not is_email(owner):
        message = f"{owner!r} is not an e-mail address"
        raise UsageError(message)
    words = {"organization": organization, "owner": owner, "title": organization.capitalize()}
    home = f"specs/organizations/{organization}"
    files = {
        ".gitignore": _scaffold("gitignore", words),
        "reconciler.toml": _scaffold("reconciler.toml", words),
        f"{home}/organization.yaml": _scaffold("organization.yaml", words),
        f"{home}/hello.yaml": _scaffold("hello.yaml", words),
        f"{home}/workflows/hello.json": _scaffold("hello.json", words),
    }
    files |= {f"schemas/{name}": text for name, text in schemas(MODELS).items()}
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        message = f"{folder / taken[0]} is there already"
        raise UsageError(message, hint="choose an empty folder; nothing was written")
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text)
    if output == "json":
        document({"format_version": "1.0", "files": [str(folder / name) for name in files]})
        return 0
    for name in files:
        say(f"wrote {folder / name}")
    where = "" if folder == Path() else f"cd {folder} && "
    result(f"next: {where}reconciler up")
    return 0


def _scaffold(name: str, words: dict[str, str]) -> str:
    text = resources.files("reconciler.scaffold").joinpath(name).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text
