"""The daemon follows a spec folder, also one that lies in a work tree of git."""

from __future__ import annotations

import time

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import following, until
from tests.acceptance.test_following import applied, id_of, problem, says
from tests.doubles.repositories import Team


def test_a_folder_is_followed(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("greeter", says="one")
    with following(on_fake, RECONCILER_POLL_INTERVAL="30", RECONCILER_DRIFT_INTERVAL="60"):
        says(on_fake, "greeter", "one")
        on_fake.repository.automation("greeter", says="two")
        says(on_fake, "greeter", "two")


def in_a_work_tree(stage: Stage) -> tuple[Team, dict[str, str]]:
    """Put the spec folder under git, without a commit; tells how daemons find it."""
    folder = stage.shell.folder
    team = Team.alone(folder)
    return team, {"GIT_CEILING_DIRECTORIES": str(folder.parent), "RECONCILER_PRUNE": "true"}


def test_a_commit_in_a_followed_folder_follows_on_the_edits_before_it(on_fake: Stage) -> None:
    team, env = in_a_work_tree(on_fake)
    repository = on_fake.repository.organization()
    for number in range(9):
        repository.automation(f"other-{number}")
    first = team.commit()[:12]
    with following(on_fake, **env):
        until(lambda: applied(on_fake) == first, "the first is applied")
        repository.automation("other-1", says="edited")
        until(lambda: (applied(on_fake) or "").startswith(f"{first}+"), "the edit is applied")
        second = team.commit()[:12]
        until(lambda: applied(on_fake) == second, "the commit of the edit is recorded")
        repository.automation("other-1", says="edited again")
        until(lambda: (applied(on_fake) or "").startswith(f"{second}+"), "the edit is applied")
        repository.drop("other-8")
        third = team.commit()[:12]
        says(on_fake, "other-8", None)
        until(lambda: applied(on_fake) == third, "the removal is recorded")

    assert [(None,)] == on_fake.rows("SELECT rewritten_from FROM reconciler.sources")
    found = on_fake.shell.ok("rollback", "--list", "-o", "json", **env).document["applied"]
    assert [third, second, first] == [one["revision"] for one in found]


def test_edits_that_an_earlier_version_took_for_a_rewritten_history_are_forgotten(
    on_fake: Stage,
) -> None:
    team, env = in_a_work_tree(on_fake)
    repository = on_fake.repository.organization()
    for number in range(9):
        repository.automation(f"other-{number}")
    first = team.commit()[:12]
    on_fake.shell.apply(**env)
    on_fake.rows("UPDATE reconciler.sources SET rewritten_from = %s", f"{first}+31d21cfc")
    repository.drop("other-8")
    team.commit()
    with following(on_fake, **env):
        says(on_fake, "other-8", None)


def test_a_folder_that_is_gone_leaves_what_was_applied_in_force(on_fake: Stage) -> None:
    team, env = in_a_work_tree(on_fake)
    on_fake.repository.organization().automation("greeter", says="one")
    first = team.commit()[:12]
    with following(on_fake, **env) as follower:
        until(lambda: applied(on_fake) == first, "it is applied")
        root = on_fake.repository.root
        root.rename(root.with_name("away"))
        until(lambda: problem(on_fake), "the loss is told")
        on_fake.n8n.says(id_of(on_fake, "greeter"), "by hand", live=True)
        says(on_fake, "greeter", "one")
        assert [] == follower.said("turn failed")
        shown = on_fake.shell.ok("status", **env)
        assert "there is no spec folder" in shown.out
        assert f"{on_fake.organization}/Automation/greeter" in shown.out
        root.with_name("away").rename(root)
        until(lambda: problem(on_fake) is None, "it is there again")


def test_a_half_written_file_never_counts(on_fake: Stage) -> None:
    repository = on_fake.repository.organization().automation("greeter", says="one")
    with following(on_fake) as follower:
        says(on_fake, "greeter", "one")
        path = repository.home / "greeter.yaml"
        text = path.read_text(encoding="utf-8").replace("greeter", "greeter", 1)
        with path.open("w", encoding="utf-8") as file:
            for at in range(0, len(text), 40):
                file.write(text[at : at + 40])
                file.flush()
                time.sleep(0.15)
        repository.automation("greeter", says="two")
        says(on_fake, "greeter", "two")
        assert [] == follower.said("does not apply")
