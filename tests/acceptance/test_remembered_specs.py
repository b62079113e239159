"""What commands remember of the spec folder saves work, and never changes a plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.app.specs import MEMO
from reconciler.engine.memo import inputs_digest
from tests.acceptance.conftest import Stage

MARKED = "this was remembered"
TRIGGER = {
    "name": "orders",
    "type": "WEBHOOK",
    "auth": {"scheme": "bearer", "secretRef": {"env": "A_SECRET"}},
}


def memo(stage: Stage) -> Path:
    return stage.shell.folder / ".reconciler" / MEMO


def rewrite(stage: Stage, change: Callable[[Any], None]) -> None:
    """Change the memo, and its hash with it."""
    data = json.loads(memo(stage).read_text().partition("\n")[2])
    change(data)
    text = json.dumps(data)
    memo(stage).write_text(f"{inputs_digest([text])}\n{text}")


def mark(data: Any) -> None:
    data["diagnostics"].append(["warning", "WFL100", MARKED, None, None])


def prepare(stage: Stage) -> None:
    """Apply, let a plan remember the folder, and mark what it remembered."""
    stage.repository.organization().credential("door", "A_SECRET")
    stage.repository.automation("greet", triggers=[TRIGGER])
    stage.shell.apply()
    stage.shell.no_changes()
    rewrite(stage, mark)


def test_an_unchanged_folder_is_not_compiled_again(on_fake: Stage) -> None:
    prepare(on_fake)

    planned = on_fake.shell.plan()

    assert (0, "No changes.") == (planned.code, planned.last)
    assert MARKED in planned.err


def test_after_an_apply_the_next_plan_already_remembers(on_fake: Stage) -> None:
    prepare(on_fake)
    on_fake.repository.automation("greet", says="good morning", triggers=[TRIGGER])
    on_fake.shell.apply()
    rewrite(on_fake, mark)

    assert MARKED in on_fake.shell.plan().err


def edit_document(stage: Stage) -> None:
    stage.repository.edit("greet.yaml", "acme greet", "acme greets")


def edit_workflow(stage: Stage) -> None:
    stage.repository.edit("workflows/greet.json", "hello", "good day")


def add_document(stage: Stage) -> None:
    stage.repository.automation("wave")


def drop_document(stage: Stage) -> None:
    stage.repository.drop("door")


def another_secret(stage: Stage) -> None:
    stage.shell.env["A_SECRET"] = "another made-up secret"


def no_secret(stage: Stage) -> None:
    del stage.shell.env["A_SECRET"]


def another_address(stage: Stage) -> None:
    stage.shell.env["RECONCILER_PUBLIC_URL"] = "https://hooks.acme.example"


def edit_record(stage: Stage) -> None:
    stage.rows(
        "UPDATE reconciler.resources SET payload = replace(payload::text, 'hello', 'hallo')::json"
    )


def drop_record(stage: Stage) -> None:
    stage.rows("DELETE FROM reconciler.resources WHERE kind = 'Credential'")


CHANGES = (
    edit_document,
    edit_workflow,
    add_document,
    drop_document,
    another_secret,
    no_secret,
    another_address,
    edit_record,
    drop_record,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_the_plan_is_the_one_without_a_memory(
    on_fake: Stage, change: Callable[[Stage], None]
) -> None:
    prepare(on_fake)
    change(on_fake)

    remembering = on_fake.shell.plan("-o", "json")
    memo(on_fake).unlink()
    anew = on_fake.shell.plan("-o", "json")

    assert MARKED not in remembering.err
    assert (anew.code, anew.document, anew.err) == (
        remembering.code,
        remembering.document,
        remembering.err,
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(MARKED, "this was edited by hand"),
        lambda _: "[" * 100_000,
        lambda text: text + "\n",
    ],
    ids=["empty", "half", "edited", "brackets", "longer"],
)
def test_a_damaged_memo_is_forgotten(on_fake: Stage, damage: Callable[[str], str]) -> None:
    prepare(on_fake)
    memo(on_fake).write_text(damage(memo(on_fake).read_text()))

    planned = on_fake.shell.plan()

    assert ("No changes.", "") == (planned.last, planned.err)


def test_the_memo_of_another_version_is_forgotten(on_fake: Stage) -> None:
    prepare(on_fake)
    rewrite(on_fake, lambda data: data.update(format=0))

    assert MARKED not in on_fake.shell.plan().err


def test_without_local_state_nothing_is_written(on_fake: Stage) -> None:
    (on_fake.shell.folder / ".reconciler").rmdir()
    on_fake.repository.organization()

    on_fake.shell.plan()

    assert ["specs"] == [path.name for path in on_fake.shell.folder.iterdir()]
