"""Each exit code of the table, provoked once; and -o json: one document on stdout, always."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconciler.store.lock import KEY
from tests.acceptance.conftest import Stage
from tests.acceptance.test_two_at_once import many, slow, until
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault, Trouble

NOBODY = "postgresql://nobody:nothing@127.0.0.1:9/none"


@pytest.fixture
def stage(on_fake: Stage) -> Stage:
    """One automation that is applied."""
    on_fake.repository.organization().automation("greet", says="one")
    on_fake.shell.apply()
    return on_fake


class TestTable:
    """ux.md's table, from 0 to 130."""

    def test_0_nothing_to_do(self, stage: Stage) -> None:
        assert 0 == stage.shell.run("plan").code
        assert 0 == stage.shell.run("drift").code

    def test_1_n8n_said_no(self, stage: Stage, fake: FakeN8n) -> None:
        fake.faults.append(Fault(trouble=Trouble.ERROR, times=1000))
        assert 1 == stage.shell.run("plan").code

    def test_2_there_are_changes(self, stage: Stage) -> None:
        stage.repository.automation("greet", says="two")
        assert 2 == stage.shell.run("plan").code
        assert 0 == stage.shell.run("plan", "--exit-zero").code
        stage.n8n.says(stage.n8n.workflow("acme greet")["id"], "by hand")
        assert 2 == stage.shell.run("drift").code

    @pytest.mark.parametrize("command", [("validate",), ("plan",), ("apply", "-y")])
    def test_3_the_specs_are_wrong(self, stage: Stage, command: tuple[str, ...]) -> None:
        stage.repository.automation("greet", tidle="misspelt")
        done = stage.shell.run(*command)
        assert 3 == done.code
        assert "tidle" in done.out + done.err
        assert "did you mean" in done.out + done.err

    def test_4_partly_applied(self, stage: Stage, fake: FakeN8n) -> None:
        stage.repository.credential("door", "A_SECRET").automation("greet", says="two")
        fake.faults.append(Fault(method="PUT", path="/workflows/", act=_know_no_nodes))

        done = stage.shell.run("apply", "-y")

        assert 4 == done.code, done.said
        assert "Apply: 1 applied, 1 failed, 0 not attempted." == done.last
        assert "Unrecognized node type" in done.err

    def test_5_a_guard_refuses(self, stage: Stage) -> None:
        stage.repository.drop("greet")
        assert 5 == stage.shell.run("plan", "--prune").code
        assert 5 == stage.shell.run("apply", "--prune", "-y").code

    def test_5_nobody_is_there_to_confirm(self, stage: Stage, fake: FakeN8n) -> None:
        stage.repository.automation("greet", says="two")
        fake.calls.clear()
        done = stage.shell.run("apply")
        assert 5 == done.code
        assert "--yes" in done.err
        assert [] == fake.writes()

    def test_6_somebody_else_was_first(self, on_fake: Stage, fake: FakeN8n) -> None:
        many(on_fake)
        slow(fake)
        first = on_fake.shell.start("apply", "-y")
        until(lambda: fake.state.workflows)
        assert 6 == on_fake.shell.run("apply", "-y", "--lock-timeout", "0").code
        first.wait()

    def test_7_a_server_is_away(self, stage: Stage) -> None:
        assert 7 == stage.shell.run("plan", DATABASE_URL=NOBODY).code
        assert 7 == stage.shell.run("plan", N8N_URL="http://127.0.0.1:9").code
        assert 7 == stage.shell.run("plan", N8N_API_KEY="wrong").code

    def test_8_postgresql_ends_a_statement(self, stage: Stage) -> None:
        waiting = (
            "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with psycopg.connect(stage.database_url, autocommit=True) as other:
            other.execute("SELECT pg_advisory_lock(%s, %s)", KEY)
            running = stage.shell.start("apply", "-y", "--lock-timeout", "60")
            until(lambda: other.execute(f"SELECT 1 {waiting}").fetchall())
            other.execute(f"SELECT pg_cancel_backend(pid) {waiting}")
            done = running.wait()
        assert 8 == done.code, done.said

    def test_64_the_command_line_is_wrong(self, stage: Stage) -> None:
        assert 64 == stage.shell.run("plam").code
        assert 64 == stage.shell.run("plan", "--nonsense").code
        assert 64 == stage.shell.run("plan", "--target", "nonsense").code
        assert 64 == stage.shell.run("adopt", "--organization", "acme").code

    def test_78_the_configuration_is_wrong(self, stage: Stage) -> None:
        assert 78 == stage.shell.run("plan", "--specs", "nowhere").code
        assert 78 == stage.shell.run("apply", "-y", ENCRYPTION_KEY="short").code
        assert 78 == stage.shell.run("plan", DATABASE_URL="nonsense").code
        assert 78 == stage.shell.run("plan", RECONCILER_CONCURRENCY="many").code
        stage.shell.write("reconciler.toml", "n8n_ulr = 'x'")
        done = stage.shell.run("plan")
        assert 78 == done.code
        assert "n8n_url" in done.err

    def test_130_interrupted(self, on_fake: Stage, fake: FakeN8n) -> None:
        many(on_fake)
        slow(fake)
        running = on_fake.shell.start("apply", "-y", "--concurrency", "1")
        until(lambda: fake.state.workflows)
        os.kill(running.pid, signal.SIGINT)
        assert 130 == running.wait().code


def _know_no_nodes(fake: FakeN8n) -> None:
    fake.workflows.node_types = frozenset()


class TestJson:
    """-o json: exactly one document on stdout."""

    @pytest.mark.parametrize(
        "words",
        [
            ("plan",),
            ("apply", "-y"),
            ("status",),
            ("drift",),
            ("drift", "--repair", "-y"),
            ("doctor",),
            ("validate",),
            ("fmt", "--check"),
            ("schema", "export"),
            ("db", "current"),
            ("db", "upgrade"),
            ("init", "elsewhere"),
            ("adopt", "--organization", "acme", "--all"),
        ],
        ids=" ".join,
    )
    def test_a_command_that_works(self, stage: Stage, words: tuple[str, ...]) -> None:
        stage.repository.automation("greet", says="two")

        done = stage.shell.run(*words, "-o", "json")

        assert done.code in {0, 2}, done.said
        assert isinstance(done.document, dict | list)

    @pytest.mark.parametrize(
        "words, env",
        [
            (("plan",), {"DATABASE_URL": NOBODY}),
            (("apply", "-y"), {"N8N_API_KEY": "wrong"}),
            (("apply",), {}),
            (("apply", "-y", "missing.json"), {}),
            (("status",), {"DATABASE_URL": NOBODY}),
            (("drift",), {"DATABASE_URL": NOBODY}),
            (("drift", "--repair", "-y"), {"N8N_API_KEY": "wrong"}),
            (("adopt", "--organization", "acme", "none"), {}),
            (("plan", "--specs", "nowhere"), {}),
            (("plan", "--nonsense"), {}),
            (("doctor",), {"DATABASE_URL": NOBODY}),
            (("db", "current"), {"DATABASE_URL": NOBODY}),
            (("db", "downgrade", "nonsense", "--yes"), {}),
            (("init", "."), {}),
        ],
        ids=" ".join,
    )
    def test_a_command_that_fails(
        self, stage: Stage, words: tuple[str, ...], env: dict[str, str]
    ) -> None:
        stage.repository.automation("greet", says="two")
        stage.shell.write("reconciler.toml", "")

        done = stage.shell.run(*words, "-o", "json", **env)

        assert done.code not in {0, 2}, done.said
        document: Any = done.document
        if words != ("doctor",):
            assert done.code == document["error"]["exit_code"]
            assert document["error"]["message"]

    @pytest.mark.parametrize("words", [("plan",), ("apply", "-y"), ("validate",), ("drift",)])
    def test_wrong_specs(self, stage: Stage, words: tuple[str, ...]) -> None:
        stage.repository.automation("greet", tidle="misspelt")

        done = stage.shell.run(*words, "-o", "json")

        assert (0 if words == ("drift",) else 3) == done.code
        assert isinstance(done.document, dict | list)

    def test_ci_formats_of_a_plan(self, stage: Stage, tmp_path: Path) -> None:
        stage.repository.automation("greet", says="two")
        for format_ in ("github", "gitlab", "sarif", "junit", "json"):
            done = stage.shell.run("plan", "--format", format_)
            assert 2 == done.code, done.said
            assert "acme/Automation/greet" in done.out
            if format_ in {"gitlab", "sarif", "json"}:
                json.loads(done.out)
        assert 2 == stage.shell.run("plan", "--markdown", "plan.md").code
        assert "acme/Automation/greet" in (tmp_path / "plan.md").read_text()
