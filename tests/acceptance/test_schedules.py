"""Schedules from a spec file to their fires: previewed, applied, changed, edited by hand, listed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.app import new_id
from reconciler.runtime.scheduler import Scheduler
from reconciler.store.database import Database
from reconciler.store.notify import Notifier
from reconciler.store.schedules import Schedules
from tests.acceptance.conftest import Stage
from tests.acceptance.shell import Forker, Shell, bare_environment

NINE = {"name": "nine", "type": "SCHEDULE", "cron": "0 9 * * *", "timezone": "Europe/Berlin"}
NEXT = 'SELECT "nextFireAt" FROM workflow_triggers'


@pytest.fixture
def shell(tmp_path: Path, forker: Forker) -> Shell:
    """A prompt in an empty folder, with nothing configured."""
    return Shell(folder=tmp_path, env=bare_environment(), starter=forker)


@pytest.fixture
def stage(on_fake: Stage) -> Stage:
    """One automation with a schedule, applied and taken in."""
    on_fake.repository.organization().automation("report", triggers=[NINE])
    on_fake.shell.apply()
    tick(on_fake)
    return on_fake


def tick(stage: Stage) -> None:
    """Do what any daemon with the role scheduler does each second."""

    async def once() -> None:
        async with Database(stage.database_url) as database:
            notifier = Notifier(database)
            await Scheduler(Schedules(database, new_id=new_id), notifier).tick()
            await notifier.close()

    asyncio.run(once())


def move_next(stage: Stage, by: str) -> Any:
    """Turn the next fire to now plus *by*."""
    return stage.value(
        "UPDATE workflow_triggers SET \"nextFireAt\" = date_trunc('milliseconds', "
        "clock_timestamp() AT TIME ZONE 'UTC') + %s::interval RETURNING \"nextFireAt\"",
        by,
    )


def in_future(stage: Stage) -> bool:
    return bool(stage.value(f"SELECT ({NEXT}) > clock_timestamp() AT TIME ZONE 'UTC'"))


def runs(stage: Stage) -> Any:
    return stage.value("SELECT count(*) FROM workflow_executions")


def test_applying_a_schedule_sets_its_next_fire_and_that_is_no_drift(stage: Stage) -> None:
    assert in_future(stage)
    stage.shell.no_changes()
    assert 0 == stage.shell.run("drift").code


def test_applying_again_keeps_the_next_fire(stage: Stage) -> None:
    before = move_next(stage, "7 minutes")
    stage.repository.automation("report", says="something else", triggers=[NINE])

    stage.shell.apply()
    tick(stage)

    assert stage.value(NEXT) == before


def test_a_changed_schedule_is_never_fired_retroactively(stage: Stage) -> None:
    move_next(stage, "-7 minutes")
    stage.repository.automation("report", triggers=[{**NINE, "cron": "0 10 * * *"}])

    stage.shell.apply()
    tick(stage)

    assert in_future(stage)
    assert 0 == runs(stage)


@pytest.mark.parametrize("what", ["trigger", "automation"])
def test_a_schedule_that_was_off_while_no_daemon_ran_begins_anew(what: str, stage: Stage) -> None:
    off: dict[str, Any] = (
        {"triggers": [{**NINE, "active": False}]}
        if what == "trigger"
        else {"triggers": [NINE], "active": False}
    )
    stage.repository.automation("report", **off)
    stage.shell.apply()
    stage.rows(
        'UPDATE workflow_triggers SET "nextFireAt" = "nextFireAt" - interval \'2 days\' '
        'WHERE "nextFireAt" IS NOT NULL'
    )
    stage.repository.automation("report", triggers=[NINE])
    stage.shell.apply()

    tick(stage)

    assert in_future(stage)
    assert 0 == runs(stage)


def test_a_removed_schedule_fires_no_more(stage: Stage) -> None:
    move_next(stage, "-1 second")
    stage.repository.automation("report")

    stage.shell.apply("--prune", "--allow-remove", "5")
    tick(stage)

    assert stage.value(NEXT) is None
    assert 0 == runs(stage)


@pytest.mark.parametrize("cron", ["not a schedule", "*/10 * * * *"])
def test_a_hand_that_edits_the_row_is_followed_until_it_is_repaired(
    cron: str, stage: Stage
) -> None:
    stage.rows('UPDATE workflow_triggers SET "cronSchedule" = %s', cron)
    tick(stage)
    problem = stage.value('SELECT "scheduleError" FROM workflow_triggers')
    assert (problem is None) == cron.startswith("*")
    assert 2 == stage.shell.run("drift").code

    stage.shell.ok("drift", "--repair", "-y")
    tick(stage)

    assert stage.value('SELECT "scheduleError" FROM workflow_triggers') is None
    assert in_future(stage)
    assert 0 == runs(stage)
    stage.shell.no_changes()


def test_the_list_shows_state_zone_next_and_last_fire(stage: Stage) -> None:
    move_next(stage, "-1 second")
    stage.rows(
        'INSERT INTO workflow_triggers (id, name, "automationId", "orgId", "triggerType", '
        '"triggerEvent", "cronSchedule", timezone, "updatedAt") '
        "SELECT 'by-hand', 'by-hand', id, \"orgId\", 'SCHEDULE', 'x', '0 9 * * *', "
        "'Europe/Berln', now() FROM automations"
    )
    tick(stage)

    text = stage.shell.ok("schedules", "list").out
    listed = stage.shell.ok("schedules", "list", "-o", "json").document

    by_name = {one["name"]: one for one in listed["schedules"]}
    nine, by_hand = by_name["nine"], by_name["by-hand"]
    assert ("active", 1) == (nine["state"], nine["fire_count"])
    assert nine["next_fire_at"].endswith("+00:00")
    assert nine["last_fired_at"] is not None
    assert "broken" == by_hand["state"]
    assert 'unknown time zone "Europe/Berln"' == by_hand["problem"]
    assert "acme/report.nine" in text
    assert "Europe/Berlin" in text
    assert "unknown time zone" in text


def test_the_list_says_what_keeps_a_schedule_from_firing(stage: Stage) -> None:
    def state() -> str:
        [one] = stage.shell.ok("schedules", "list", "-o", "json").document["schedules"]
        return str(one["state"])

    stage.rows('UPDATE automations SET "isActive" = false')
    assert "automation off" == state()
    stage.rows('UPDATE workflow_triggers SET "isActive" = false')
    assert "off" == state()


def test_applied_schedules_are_previewed_as_the_database_holds_them(stage: Stage) -> None:
    stage.rows("UPDATE workflow_triggers SET \"cronSchedule\" = '15 8 * * *'")

    for name in ("report", "report.nine", "acme/report", "acme/report.nine"):
        done = stage.shell.ok("schedules", "next", name, "--applied", "--count", "1", "-o", "json")
        [one] = done.document["schedules"]
        assert "15 8 * * *" == one["cron"]
        assert "T08:15:00" in one["next"][0]["local"]
    assert 64 == stage.shell.run("schedules", "next", "report.ten", "--applied").code


SPEC = """\
apiVersion: reconciler/v1
kind: Trigger
metadata: {name: report.night, organization: acme}
spec: {automation: report, type: SCHEDULE, cron: "30 2 * * *", timezone: Europe/Berlin, jitter: 30s}
"""


@pytest.mark.parametrize(
    "name", ["hello", "hello.mornings", "acme/hello", "specs/organizations/acme/hello.yaml"]
)
def test_next_needs_no_server(name: str, shell: Shell) -> None:
    shell.ok("init")

    done = shell.ok("schedules", "next", name, "--count", "3", "--after", "2026-06-05T12:00Z")

    assert "acme/hello.mornings  0 9 * * 1-5  UTC" in done.out
    assert ["2026-06-08", "2026-06-09", "2026-06-10"] == [
        line.split()[1] for line in done.out.splitlines()[2:]
    ]


def test_next_tells_what_changing_clocks_do(shell: Shell) -> None:
    words = ("30 2 * * *", "--timezone", "Europe/Berlin", "--count", "3")

    autumn = shell.ok("schedules", "next", *words, "--after", "2026-10-23T12:00Z").out
    spring = shell.ok("schedules", "next", *words, "--after", "2026-03-27T12:00Z").out

    assert "02:30 comes twice, due the first time only" in autumn
    assert "02:30 does not exist, so at 03:00" in spring


def test_next_gives_one_document(shell: Shell) -> None:
    done = shell.ok("schedules", "next", "0 9 * * 1-5", "--count", "2", "-o", "json")

    assert "1.0" == done.document["format_version"]
    assert 2 == len(done.document["schedules"][0]["next"])
    assert json.loads(done.out)["schedules"][0]["timezone"] == "UTC"


@pytest.mark.parametrize(
    "words",
    [
        ("61 * * * *",),
        ("0 9 * * *", "--timezone", "Europe/Berln"),
        ("helo",),
        ("none.yaml",),
        ("hello", "--timezone", "UTC"),
        ("hello", "--count", "0"),
        ("hello", "--after", "yesterday"),
    ],
)
def test_next_refuses_what_it_can_not_mean(words: tuple[str, ...], shell: Shell) -> None:
    shell.ok("init")

    done = shell.run("schedules", "next", *words)

    assert 64 == done.code, done.said
    assert "error:" in done.err


@pytest.mark.parametrize(
    "words, said",
    [
        (("@daily",), 'write "0 0 * * *"'),
        (("0 9 * * *", "--after", "9999-12-31"), "--after"),
    ],
)
def test_next_says_what_to_correct(words: tuple[str, ...], said: str, shell: Shell) -> None:
    done = shell.run("schedules", "next", *words)

    assert (64, True) == (done.code, said in done.err), done.said


def test_next_shows_what_is_wrong_with_the_file(shell: Shell) -> None:
    shell.ok("init")
    file = shell.write("specs/organizations/acme/night.yaml", SPEC.replace("30 2", "61 2"))

    done = shell.run("schedules", "next", str(file))

    assert 3 == done.code, done.said
    assert "AUT101" in done.err
