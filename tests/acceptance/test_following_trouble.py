"""The daemon follows specs while servers fail, and breaks off what is no longer wanted."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import Follower, following, until
from tests.acceptance.test_following import applied, from_git, problem, says
from tests.acceptance.test_holds import after_a_turn
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault, Trouble


@pytest.mark.parametrize(
    "trouble", [Trouble.RESET, Trouble.HTML, Trouble.ERROR, Trouble.BUSY, Trouble.BAD_GATEWAY]
)
def test_an_n8n_in_trouble_is_waited_for(
    on_fake: Stage, fake: FakeN8n, tmp_path: Path, trouble: Trouble
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env) as follower:
        says(on_fake, "greeter", "one")
        until(lambda: applied(on_fake), "it is applied")
        fake.faults.append(Fault(trouble=trouble, times=6, path="/workflows"))
        repository.automation("greeter", says="two").automation("second", says="here")
        team.push()
        until(lambda: fake.faults[0].seen >= 6, "the trouble is over")
        says(on_fake, "greeter", "two")
        says(on_fake, "second", "here")
        follower.stop()

    assert 2 == len(on_fake.n8n.workflows(on_fake.organization))


def test_a_postgresql_that_drops_all_connections_is_found_again(
    on_fake: Stage, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    names = [f"a-{number}" for number in range(8)]
    with following(on_fake, **env) as follower:
        says(on_fake, "greeter", "one")
        for name in names:
            repository.automation(name, says=name)
        team.push()
        for _ in range(6):
            on_fake.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            time.sleep(0.7)
        for name in names:
            says(on_fake, name, name)
        follower.stop()

    assert len(names) == len(on_fake.n8n.workflows(f"{on_fake.organization} a-"))


def test_a_newer_commit_breaks_off_a_turn_that_works_on_an_older_one(
    on_fake: Stage, fake: FakeN8n, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    names = [f"a-{number:02}" for number in range(16)]
    with following(on_fake, RECONCILER_CONCURRENCY="1", **env) as follower:
        until(lambda: applied(on_fake), "it is applied")
        fake.faults.append(Fault(path="/publish", times=1000, act=lambda _: time.sleep(0.5)))
        for name in names:
            repository.automation(name, says="old")
        team.push()
        until(lambda: len(on_fake.n8n.workflows(f"{on_fake.organization} a-")) >= 2, "it began")
        for name in names:
            repository.drop(name)
        repository.automation("greeter", says="the fix")
        pushed = time.monotonic()
        team.push()
        says(on_fake, "greeter", "the fix")
        took = time.monotonic() - pushed
        assert follower.said("a newer revision cancels this turn")
        follower.stop()

    assert took < 8 * 0.5 + 4, "it did not wait for the older commit"
    assert len(on_fake.n8n.workflows(f"{on_fake.organization} a-")) < len(names)


def test_turns_that_all_fail_are_told_by_status_and_by_readyz(
    on_fake: Stage, tmp_path: Path
) -> None:
    _, _, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env) as follower:
        until(lambda: applied(on_fake), "it is applied")
        assert (200, {}) == ready(follower)
    wrong = {**env, "N8N_API_KEY": "wrong"}
    with following(on_fake, **wrong) as follower:
        until(lambda: "refuses the API key" in (problem(on_fake) or ""), "the problem is noted")
        status, reasons = ready(follower)
        assert (503, ["reconciler"]) == (status, list(reasons))
        assert "refuses the API key" in on_fake.shell.ok("status", **env).out
    with following(on_fake, **wrong, RECONCILER_ROLES="api,reconciler") as follower:
        until(lambda: follower.said("turn failed"), "a turn fails")
        assert (200, {}) == ready(follower)
        assert ["reconciler"] == list(ready(follower, "remarks")[1])
    with following(on_fake, **env):
        until(lambda: problem(on_fake) is None, "the problem is over")


def test_the_next_good_turn_of_any_daemon_ends_the_problem_of_turns(
    on_fake: Stage, tmp_path: Path
) -> None:
    team, repository, env = from_git(on_fake, tmp_path)
    with following(on_fake, **env):
        until(lambda: applied(on_fake), "it is applied")
        with following(on_fake, **env, N8N_API_KEY="wrong"):
            until(lambda: "refuses the API key" in (problem(on_fake) or ""), "it is noted")
        until(lambda: problem(on_fake) is None, "the problem is over")
        repository.text("broken.yaml", "nonsense: [")
        team.push()
        until(lambda: "broken.yaml" in (problem(on_fake) or ""), "the broken commit is told")
        after_a_turn(on_fake)
        assert "broken.yaml" in (problem(on_fake) or "")


def ready(follower: Follower, which: str = "reasons") -> tuple[int, dict[str, str]]:
    until(lambda: follower.said("listening"), "it listens")
    [listening] = follower.said("listening")
    answer = httpx.get(f"{listening['url']}/readyz", trust_env=False)
    return answer.status_code, answer.json()[which]
