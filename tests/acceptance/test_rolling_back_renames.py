"""Going back over a renaming and forth again keeps every id: nothing is ever there twice."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import following, said_by, until
from tests.acceptance.repository import Repository
from tests.acceptance.test_following import applied, from_git
from tests.doubles.repositories import Team


def called(repository: Repository, name: str, before: str | None = None) -> None:
    """Declare the greeter, with a schedule, under another name than *before*."""
    if before is not None:
        repository.drop(before)
    triggers = [{"name": "mornings", "type": "SCHEDULE", "cron": "0 6 * * *", "timezone": "UTC"}]
    repository.automation(name, says=name, title="acme greeter", triggers=triggers)
    if before is not None:
        metadata = f'"name": "{name}", "movedFrom": "{before}"'
        repository.edit(f"{name}.yaml", f'"name": "{name}"\n  }}', metadata + "\n  }")


def ids(stage: Stage) -> set[tuple[object, ...]]:
    """All that a greeter consists of, apart from its name."""
    return set(
        stage.rows(
            "SELECT kind, row_id, object_id FROM reconciler.resources"
            " WHERE kind IN ('Automation', 'Trigger') AND removed_at IS NULL"
        )
    )


def names(stage: Stage) -> list[object]:
    return [
        name
        for (name,) in stage.rows(
            "SELECT name FROM reconciler.resources WHERE kind IN ('Automation', 'Trigger')"
            " AND removed_at IS NULL ORDER BY kind"
        )
    ]


def test_a_rollback_takes_the_old_name_back_and_the_way_forward_the_new_one(
    on_fake: Stage,
) -> None:
    folder, repository = on_fake.shell.folder, on_fake.repository.organization()
    team = Team(folder / "none.git", folder)
    team.git("init", "--quiet", "--initial-branch=main")
    (folder / ".gitignore").write_text(".reconciler/\n", encoding="utf-8")
    env = {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    before = None
    for name in ("hello", "hullo", "hallo"):
        called(repository, name, before)
        team.commit(name)
        on_fake.shell.apply(**env)
        before = name
    known = ids(on_fake)
    assert names(on_fake) == ["hallo", "hallo.mornings"]
    revisions = on_fake.shell.ok("rollback", "--list", "-o", "json", **env).document["applied"]

    for one, name in zip(reversed(revisions), ("hello", "hullo"), strict=False):
        done = on_fake.shell.ok("rollback", one["revision"], "-y", **env)
        assert "0 to create" in done.out, done.said
        assert names(on_fake) == [name, f"{name}.mornings"]
        assert ids(on_fake) == known

    on_fake.shell.ok("unhold", "/", "--anyway", **env)
    on_fake.shell.apply(**env)
    assert names(on_fake) == ["hallo", "hallo.mornings"]
    assert ids(on_fake) == known
    assert "renamed from hullo" in on_fake.shell.ok("why", "acme/Automation/hallo").out


def test_a_daemon_that_finishes_a_rollback_does_the_same(on_fake: Stage, tmp_path: Path) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    repository.drop("greeter")
    called(repository, "hello")
    first = team.push()[:12]
    with following(on_fake, **env):
        until(lambda: applied(on_fake) == first, "the first name")
        known = ids(on_fake)
        called(repository, "hullo", "hello")
        second = team.push()[:12]
        until(lambda: applied(on_fake) == second, "the second name")
    on_fake.rows(
        "INSERT INTO reconciler.holds (id, organization, held, reason, created_by, pinned)"
        " VALUES ('pin', '/', '{apply}', 'killed before its first change', 'test', %s)",
        first,
    )
    with following(on_fake, **env):
        until(lambda: applied(on_fake) == first, "the rollback")
        assert names(on_fake) == ["hello", "hello.mornings"]
        assert ids(on_fake) == known
        assert said_by(on_fake, "greeter") == "hello"
        on_fake.shell.ok("unhold", "/", "--anyway", **env)
        until(lambda: applied(on_fake) == second, "the way forward")
    assert names(on_fake) == ["hullo", "hullo.mornings"]
    assert ids(on_fake) == known
