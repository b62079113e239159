"""Going back over a renaming and forth again keeps every id: nothing is ever there twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.fixture
def stage(on_fake: Stage) -> Stage:
    """A folder of specs in a git repository of its own."""
    folder = on_fake.shell.folder
    on_fake.shell.env["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
    on_fake.repository.organization()
    Team.alone(folder)
    return on_fake


def team(stage: Stage) -> Team:
    return Team(stage.shell.folder / "none.git", stage.shell.folder)


def applies(stage: Stage, message: str) -> None:
    team(stage).commit(message)
    stage.shell.apply()


def first_revision(stage: Stage) -> str:
    listed = stage.shell.ok("rollback", "--list", "-o", "json").document["applied"]
    return str(listed[-1]["revision"])


def renamed_twice(stage: Stage) -> set[tuple[object, ...]]:
    before = None
    for name in ("hello", "hullo", "hallo"):
        called(stage.repository, name, before)
        applies(stage, name)
        before = name
    assert names(stage) == ["hallo", "hallo.mornings"]
    return ids(stage)


def test_a_rollback_takes_the_old_name_back_and_the_way_forward_the_new_one(stage: Stage) -> None:
    known = renamed_twice(stage)
    revisions = stage.shell.ok("rollback", "--list", "-o", "json").document["applied"]

    for one, name in zip(reversed(revisions), ("hello", "hullo"), strict=False):
        done = stage.shell.ok("rollback", one["revision"], "-y")
        assert "0 to create" in done.out, done.said
        assert names(stage) == [name, f"{name}.mornings"]
        assert ids(stage) == known

    stage.shell.ok("unhold", "/", "--anyway")
    stage.shell.apply()
    assert names(stage) == ["hallo", "hallo.mornings"]
    assert ids(stage) == known
    assert "renamed from hullo" in stage.shell.ok("why", "acme/Automation/hallo").out


@pytest.mark.parametrize("name", ["hallo", "halo"])
def test_the_way_forward_over_two_renamings_makes_no_twin(stage: Stage, name: str) -> None:
    known = renamed_twice(stage)
    stage.shell.ok("rollback", first_revision(stage), "-y")
    assert names(stage) == ["hello", "hello.mornings"]
    if name == "halo":  # a newer commit that renames it once more
        called(stage.repository, "halo", "hallo")
        team(stage).commit("renamed again")
    stage.shell.ok("unhold", "/", "--anyway")

    shown = {row["address"]: row["reason"] for row in standings(stage)}
    assert "renamed from hello" in shown[f"acme/Automation/{name}"]
    done = stage.shell.ok("apply", "-y")

    assert "0 to create" in done.out, done.said
    assert names(stage) == [name, f"{name}.mornings"]
    assert ids(stage) == known
    # That is over: the same words do not mean that record for ever.
    stage.repository.drop(name)
    called(stage.repository, "hello")
    team(stage).commit("anew")
    stage.shell.ok("apply", "-y", "--prune", "--allow-remove", "9")
    assert not known & ids(stage)


def repaired(stage: Stage) -> None:
    stage.shell.ok("drift", "--repair", "-y")


def repaired_in_part(stage: Stage) -> None:
    stage.shell.ok("drift", "--repair", "-y", "--target", "acme/Organization/acme")


def healed_by_a_daemon(stage: Stage) -> None:
    with following(stage, RECONCILER_APPLY_COMMITS="false"):
        stage.n8n.says(stage.n8n.workflow("acme greeter")["id"], "by hand", live=True)
        until(lambda: said_by(stage, "greeter") == "hello", "it is healed")
    last = "SELECT summary->>'whole' FROM reconciler.operations ORDER BY started_at DESC LIMIT 1"
    assert stage.value(last) == "true"


def applied_elsewhere(stage: Stage) -> None:
    (stage.shell.folder / ".gitignore").write_text(".reconciler/\nelsewhere/\n", encoding="utf-8")
    other = Repository(stage.shell.folder / "elsewhere", "zeta").organization()
    other.automation("theirs", says="one", title="zeta theirs")
    stage.shell.ok("apply", "-y", "--specs", str(stage.shell.folder / "elsewhere"))


@pytest.mark.parametrize(
    "meanwhile", [repaired, repaired_in_part, healed_by_a_daemon, applied_elsewhere]
)
def test_what_does_not_apply_the_newer_specs_does_not_spoil_the_way_forward(
    stage: Stage, meanwhile: Callable[[Stage], None]
) -> None:
    known = renamed_twice(stage)
    stage.shell.ok("rollback", first_revision(stage), "-y")
    stage.shell.ok("unhold", "/", "--anyway")
    meanwhile(stage)

    stage.shell.ok("apply", "-y")

    assert known <= ids(stage)
    assert "hello" not in names(stage)


def test_a_rollback_that_was_killed_can_be_finished_by_apply_at_that_revision(stage: Stage) -> None:
    known = renamed_twice(stage)
    first = first_revision(stage)
    stage.rows(
        "INSERT INTO reconciler.holds (id, organization, held, reason, created_by, pinned)"
        " VALUES ('pin', '/', '{apply}', 'killed before its first change', 'test', %s)",
        first,
    )
    team(stage).git("checkout", "--quiet", first)

    stage.shell.apply()

    assert names(stage) == ["hello", "hello.mornings"]
    assert ids(stage) == known


def test_a_removed_resource_that_has_the_name_blocks_that_one_alone(stage: Stage) -> None:
    stage.repository.automation("a", says="one").automation("other", says="one")
    applies(stage, "first")
    stage.repository.drop("a").automation("b", says="one").automation("other", says="two")
    stage.repository.edit("b.yaml", '"name": "b"\n  }', '"name": "b", "movedFrom": "a"\n  }')
    applies(stage, "a is b")
    stage.repository.edit("b.yaml", ', "movedFrom": "a"', "")
    stage.repository.automation("a", says="another", title="acme another")
    applies(stage, "a name used again")
    stage.repository.drop("a")
    team(stage).commit("and removed")
    stage.shell.ok("apply", "-y", "--prune", "--allow-remove", "9")

    done = stage.shell.run("rollback", first_revision(stage), "-y")

    assert done.code == 5, done.said
    assert "a removed resource has it" in done.err
    assert said_by(stage, "other") == "one"
    assert [name for name, _, _ in stage.rows(RECORDS)] == ["b", "other"]


def test_names_that_went_on_to_others_all_go_back(stage: Stage) -> None:
    one_and_two(stage)
    known = stage.rows(RECORDS)
    assert stage.rows(RECORDS) != shifted(stage)

    stage.shell.ok("rollback", first_revision(stage), "-y")
    assert stage.rows(RECORDS) == known

    stage.shell.ok("unhold", "/", "--anyway")
    stage.shell.apply()
    assert [name for name, _, _ in stage.rows(RECORDS)] == ["b", "c"]
    assert stage.rows(RECORDS) == [("b", *known[0][1:]), ("c", *known[1][1:])]


def test_a_rollback_that_would_mix_two_automations_up_is_refused(stage: Stage) -> None:
    one_and_two(stage)
    shifted(stage)
    stage.repository.edit("b.yaml", ', "movedFrom": "a"', "")
    stage.repository.automation("a", says="I am three", title="acme three")
    applies(stage, "a name used again")
    known = stage.rows(RECORDS)

    done = stage.shell.run("rollback", first_revision(stage), "-y")

    assert done.code == 5, done.said
    assert "acme/Automation/b was acme/Automation/a" in done.err
    assert stage.rows(RECORDS) == known
    assert stage.rows("SELECT 1 FROM reconciler.holds") == []


RECORDS = (
    "SELECT name, row_id, object_id FROM reconciler.resources"
    " WHERE kind = 'Automation' AND removed_at IS NULL ORDER BY name"
)


def one_and_two(stage: Stage) -> None:
    stage.repository.automation("a", says="I am one", title="acme one")
    stage.repository.automation("b", says="I am two", title="acme two")
    applies(stage, "first")


def shifted(stage: Stage) -> list[tuple[object, ...]]:
    """Rename b to c, and then a to b."""
    repository = stage.repository.drop("b")
    repository.automation("c", says="I am two", title="acme two")
    repository.edit("c.yaml", '"name": "c"\n  }', '"name": "c", "movedFrom": "b"\n  }')
    applies(stage, "b is c")
    repository.edit("c.yaml", ', "movedFrom": "b"', "")
    repository.drop("a").automation("b", says="I am one", title="acme one")
    repository.edit("b.yaml", '"name": "b"\n  }', '"name": "b", "movedFrom": "a"\n  }')
    applies(stage, "a is b")
    return stage.rows(RECORDS)


def standings(stage: Stage) -> list[dict[str, str]]:
    return list(stage.shell.ok("status", "-o", "json").document["resources"])


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


def test_a_daemon_that_prunes_goes_forward_over_two_renamings(
    on_fake: Stage, tmp_path: Path
) -> None:
    crew, repository, env = from_git(on_fake, tmp_path)
    env["RECONCILER_PRUNE"] = "true"
    for number in range(12):  # so that no guard keeps a removal from being made
        repository.automation(f"other-{number}")
    repository.drop("greeter")
    called(repository, "hello")
    first = last = crew.push()[:12]

    def has(revision: str) -> None:
        until(lambda: applied(on_fake) == revision, revision)

    with following(on_fake, **env):
        has(first)
        known = ids(on_fake)
        for name, before in (("hullo", "hello"), ("hallo", "hullo")):
            called(repository, name, before)
            last = crew.push()[:12]
            has(last)
        on_fake.shell.ok("rollback", first, "-y", **env)
        assert ids(on_fake) == known
        on_fake.shell.ok("unhold", "/", "--anyway", **env)
        has(last)
    assert ids(on_fake) == known
    assert "hallo" in names(on_fake)
