"""`db` upgrades and downgrades without losing anything; `doctor` says what is wrong and where it came from."""

from __future__ import annotations

from tests.acceptance.conftest import Stage
from tests.acceptance.records import differences, normal_rows


def test_an_empty_database_is_upgraded_once(on_fake: Stage, postgres_url: str) -> None:
    env = {"DATABASE_URL": postgres_url}

    before = on_fake.shell.ok("db", "current", **env)
    first = on_fake.shell.ok("db", "upgrade", **env)
    second = on_fake.shell.ok("db", "upgrade", **env)
    after = on_fake.shell.ok("db", "current", "-o", "json", **env).document

    assert "empty" in before.out
    assert "upgraded" in first.out
    assert "nothing to do" in second.out
    assert after["current"] == after["head"]


def test_down_and_up_again_keeps_what_the_seed_holds(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()
    ids = on_fake.rows('SELECT id, name, "n8nWorkflowId" FROM automations')
    rows = normal_rows(on_fake.database_url)

    on_fake.shell.ok("db", "downgrade", "-1", "--yes")
    assert 7 == on_fake.shell.run("plan").code
    on_fake.shell.ok("db", "upgrade")

    assert ids == on_fake.rows('SELECT id, name, "n8nWorkflowId" FROM automations')
    assert [] == differences(rows["automations"], normal_rows(on_fake.database_url)["automations"])


def test_a_downgrade_asks_first(on_fake: Stage) -> None:
    done = on_fake.shell.run("db", "downgrade", "base")

    assert done.code != 0
    assert 0 == on_fake.value("SELECT count(*) FROM automations")


def test_doctor_says_where_each_setting_came_from(on_fake: Stage) -> None:
    on_fake.repository.organization()
    on_fake.shell.write("reconciler.toml", "concurrency = 3\n")

    done = on_fake.shell.ok("doctor", "-o", "json").document

    assert done["ok"]
    assert {"value": "3", "from": "reconciler.toml"} == done["settings"]["concurrency"]
    assert "api,scheduler,worker,reconciler" == done["settings"]["roles"]["value"]
    assert "environment" == done["settings"]["n8n_url"]["from"]
    assert "(secret)" == done["settings"]["n8n_api_key"]["value"]
    assert {"database", "n8n", "encryption key"} <= {check["name"] for check in done["checks"]}


def test_doctor_shows_no_secret(on_fake: Stage) -> None:
    on_fake.repository.organization()

    done = on_fake.shell.ok("doctor")

    for name in ("N8N_API_KEY", "ENCRYPTION_KEY"):
        assert on_fake.shell.env[name] not in done.out + done.err
    assert on_fake.database_url not in done.out


def test_doctor_names_what_is_broken(on_fake: Stage) -> None:
    on_fake.repository.organization()

    away = on_fake.shell.run("doctor", N8N_URL="http://127.0.0.1:9")
    wrong = on_fake.shell.run("doctor", ENCRYPTION_KEY="short")

    assert 7 == away.code
    assert "failed   n8n" in away.out
    assert 78 == wrong.code
    assert "failed   encryption key" in wrong.out
