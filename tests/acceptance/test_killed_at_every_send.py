"""The process is killed at every network send of an apply, and run again: nothing is lost or doubled.

The apply creates, updates and removes one automation. Each piece of data that the process sends
to PostgreSQL or n8n is a point; at each it is killed once before the data get through and once
after they were answered. The result must be what an undisturbed run leaves.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from reconciler.embedded.postgres import EmbeddedPostgres
from tests.acceptance.conftest import copy_database, drop_database
from tests.acceptance.instance import Instance
from tests.acceptance.records import differences, inventory, normal_rows
from tests.acceptance.repository import Repository
from tests.acceptance.shell import Done, Forker, Shell, bare_environment, new_key
from tests.acceptance.tandem import Tandem, tandem
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_http import serve
from tests.doubles.fake_n8n_state import State
from tests.doubles.tcp_proxy import Plan, Strike

APPLY = ("apply", "-y", "--prune", "--allow-remove", "1", "--lock-timeout", "20")
PARTS = 4


@dataclass(slots=True)
class Scene:
    """A world in which three changes wait to be applied, as often as one likes."""

    server: EmbeddedPostgres
    template: str
    fake: FakeN8n
    before: State
    shell: Shell
    tandem: Tandem
    expected: Any = None
    database: str = ""

    def reset(self) -> None:
        """Go back to before the apply."""
        if self.database:
            drop_database(self.server.url(), self.database)
        self.database = f"k_{secrets.token_hex(6)}"
        copy_database(self.server.url(), self.template, self.database)
        self.fake.restore(self.before)
        self.fake.calls.clear()
        url = self.server.url(self.database)
        self.shell.env["DATABASE_URL"] = self.tandem.database_url(url)

    def outcome(self) -> Any:
        """What n8n and PostgreSQL hold."""
        self.fake.settle()
        n8n = Instance(self.shell.env["N8N_URL"], self.fake.api_key)
        try:
            return {**n8n.normal(), **normal_rows(self.server.url(self.database))}
        finally:
            n8n.close()

    def strange(self) -> set[str]:
        """The n8n ids that are not recorded."""
        known = {entry[1] for entry in inventory(self.server.url(self.database)).values()}
        return (self.fake.state.workflows.keys() | self.fake.state.credentials.keys()) - known

    def struck(self, at: int, strike: Strike) -> tuple[Plan, Done]:
        """Apply, and kill the process at send *at*."""
        self.reset()
        known = threading.Event()
        pids: list[int] = []

        def pid() -> int:
            known.wait()
            return pids[0]

        plan = Plan(at=at, strike=strike, pid=pid)
        self.tandem.counter.arm(plan)
        running = self.shell.start(*APPLY)
        pids.append(running.pid)
        known.set()
        done = running.wait()
        self.tandem.counter.arm(None)
        return plan, done


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: EmbeddedPostgres,
    upgraded_template: str,
    forker: Forker,
) -> Iterator[Scene]:
    """Four resources that are applied; then one more, one changed, one gone."""
    folder = tmp_path_factory.mktemp("killed")
    template, fake = f"k_{secrets.token_hex(6)}", FakeN8n(lag=2)
    copy_database(postgres_server.url(), upgraded_template, template)
    with serve(fake) as url, tandem(postgres_server.url(), url) as both:
        env = bare_environment(
            DATABASE_URL=postgres_server.url(template),
            N8N_URL=both.n8n.url,
            N8N_API_KEY=fake.api_key,
            ENCRYPTION_KEY=new_key(),
            A_SECRET="a made-up secret",
        )
        shell = Shell(folder=folder, env=env, starter=forker)
        prepare(Repository(folder / "specs", "acme"), shell)
        fake.settle()
        scene = Scene(postgres_server, template, fake, fake.snapshot(), shell, both)
        scene.reset()
        shell.ok(*APPLY)
        scene.expected = scene.outcome()
        yield scene
        drop_database(postgres_server.url(), scene.database)
    drop_database(postgres_server.url(), template)


def prepare(repository: Repository, shell: Shell) -> None:
    """Apply a repository, then change it: one automation more, one changed, one gone."""
    repository.organization().credential("door", "A_SECRET")
    repository.automation("goes").automation("changes", says="before")
    shell.apply()
    repository.drop("goes").automation("changes", says="after").automation("comes", says="new")


def check(scene: Scene, point: str) -> None:
    """Run again what was killed; the world must be as if nothing had happened."""
    again = scene.shell.run(*APPLY)

    assert again.code == 0, f"{point}: {again.said}"
    assert [] == differences(scene.expected, scene.outcome()), point
    assert set() == scene.strange(), point
    plan = scene.shell.run("plan", "--prune", "--allow-remove", "1")
    assert (0, "No changes.") == (plan.code, plan.last), f"{point}: {plan.said}"


@pytest.mark.parametrize("strike", [Strike.KILL_BEFORE, Strike.KILL_AFTER], ids=lambda s: s.name)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_killed_apply_is_finished_by_the_next_one(
    scene: Scene, strike: Strike, part: int, record_property: Callable[[str, object], None]
) -> None:
    points = 0
    for at in itertools.count(part + 1, PARTS):
        plan, done = scene.struck(at, strike)
        # The process can be gone before the proxy has noted that it struck.
        if done.code != -9 and not plan.struck.is_set():
            assert done.code == 0, done.said
            break
        # The last sends say goodbye to PostgreSQL; the process may have ended before the kill.
        assert done.code in {-9, 0}, done.said
        points += done.code == -9
        check(scene, f"{strike.name} at send {at}")

    record_property("points", f"{strike.name}, part {part + 1} of {PARTS}: {points}")
    assert points >= 10
