"""A row with JSON that nobody can read concerns its own resource, and stops no other one."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import following, said_by, until
from tests.acceptance.records import differences, normal_rows

DIGITS = '{"n": 1e5000}'
DEEP = "[" * 700 + "]" * 700
REASONS = {DIGITS: "it holds a number of too many digits", DEEP: "it is nested too deeply"}
METADATA = "SELECT metadata::text FROM automations WHERE name = 'acme spoilt'"

unreadable = pytest.mark.parametrize("data", [DIGITS, DEEP], ids=["digits", "deep"])


def prepare(stage: Stage) -> None:
    stage.repository.organization()
    stage.repository.automation("spoilt", says="one").automation("other", says="one")
    stage.shell.apply()


def spoil(stage: Stage, data: str) -> None:
    """Do what another application may do to the row of one automation."""
    stage.rows(f"UPDATE automations SET metadata = '{data}' WHERE name = 'acme spoilt'")


@unreadable
def test_it_is_told_at_its_place_and_put_back_with_the_rest(on_fake: Stage, data: str) -> None:
    prepare(on_fake)
    before = normal_rows(on_fake.database_url)
    spoil(on_fake, data)

    drift = on_fake.shell.run("drift")

    assert 2 == drift.code, drift.said
    assert f"unreadable: {REASONS[data]}" in drift.out
    standing = on_fake.shell.ok("status", "-o", "json").document["resources"]
    assert {
        "acme/Automation/spoilt": "OutOfSync",
        "acme/Automation/other": "Synced",
        "acme/Organization/acme": "Synced",
    } == {one["address"]: one["sync"] for one in standing}
    on_fake.shell.ok("drift", "--repair", "-y")
    assert [] == differences(before, normal_rows(on_fake.database_url))


@unreadable
def test_while_it_is_held_the_others_go_on_and_it_stays(on_fake: Stage, data: str) -> None:
    prepare(on_fake)
    spoil(on_fake, data)
    [kept] = on_fake.rows(METADATA)
    on_fake.shell.ok("hold", "acme/Automation/spoilt", "--until", "1h", "--reason", "we look at it")
    on_fake.repository.automation("other", says="two")

    done = on_fake.shell.run("apply", "-y")

    assert "two" == said_by(on_fake, "other"), done.said
    assert [kept] == on_fake.rows(METADATA)


def test_a_daemon_applies_the_others_and_puts_it_back(on_fake: Stage) -> None:
    prepare(on_fake)
    [kept] = on_fake.rows(METADATA)
    with following(on_fake) as follower:
        until(lambda: follower.said("turn"), "a turn")
        spoil(on_fake, DIGITS)
        on_fake.repository.automation("other", says="two")
        until(lambda: said_by(on_fake, "other") == "two", "the other one is applied")
        until(lambda: on_fake.rows(METADATA) == [kept], "it is put back")
        follower.stop()
        assert [] == follower.said("turn failed")


def test_a_daemon_without_specs_heals_it_and_the_others(on_fake: Stage) -> None:
    prepare(on_fake)
    [kept] = on_fake.rows(METADATA)
    on_fake.repository.text("broken.yaml", "nonsense: [")
    with following(on_fake):
        spoil(on_fake, DIGITS)
        id_ = on_fake.n8n.workflow("acme other")["id"]
        on_fake.n8n.says(id_, "by hand", live=True)
        until(lambda: said_by(on_fake, "other") == "one", "the other one is healed")
        until(lambda: on_fake.rows(METADATA) == [kept], "it is put back")


def test_what_is_no_longer_declared_is_left_as_it_is(on_fake: Stage) -> None:
    prepare(on_fake)
    on_fake.repository.drop("spoilt")
    spoil(on_fake, DIGITS)
    [kept] = on_fake.rows(METADATA)
    on_fake.repository.automation("other", says="two")

    on_fake.shell.apply()

    assert ("two", [kept]) == (said_by(on_fake, "other"), on_fake.rows(METADATA))
    on_fake.shell.run("apply", "-y", "--prune", "--allow-remove", "9")
    assert None is said_by(on_fake, "spoilt")
    assert 0 == on_fake.shell.run("drift").code


def test_a_column_that_specs_say_nothing_about_belongs_to_its_owner(on_fake: Stage) -> None:
    prepare(on_fake)
    on_fake.rows("ALTER TABLE organization ADD COLUMN theirs jsonb")
    on_fake.rows(f"UPDATE organization SET theirs = '{DIGITS}'")
    kept = on_fake.rows("SELECT theirs::text FROM organization")

    on_fake.shell.no_changes()

    assert 0 == on_fake.shell.run("drift").code
    assert kept == on_fake.rows("SELECT theirs::text FROM organization")
