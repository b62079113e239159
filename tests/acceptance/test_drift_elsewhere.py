"""Drift of organizations that the spec folder at hand does not declare."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.conftest import Stage
from tests.acceptance.follower import following, until
from tests.acceptance.repository import Repository


def drifted(stage: Stage, *words: str) -> list[str]:
    """Which resources `drift` tells, with the exit code that belongs to it."""
    done = stage.shell.run("drift", "-o", "json", *words)
    found = [drift["address"] for drift in done.document["drift"]]
    assert (2 if found else 0) == done.code, done.said
    return found


def by_hand(stage: Stage, title: str) -> None:
    stage.n8n.says(stage.n8n.workflow(title)["id"], "by hand", live=True)


def two_in_one_folder(stage: Stage) -> Repository:
    """Apply acme and zeta from one folder; returns zeta's part of it."""
    stage.repository.organization().automation("greeter", says="one")
    zeta = Repository(stage.repository.root, "zeta").organization()
    zeta.automation("other", says="one")
    stage.shell.apply()
    return zeta


def test_drift_of_an_organization_in_another_folder_is_told_from_everywhere(
    on_fake: Stage, tmp_path: Path
) -> None:
    acme = on_fake.repository.organization()
    acme.automation("greeter", says="one").automation("gone", says="one")
    on_fake.shell.apply()
    elsewhere = str(tmp_path / "elsewhere")
    zeta = Repository(tmp_path / "elsewhere", "zeta").organization()
    zeta.automation("other", says="one").automation("left", says="one")
    on_fake.shell.ok("apply", "-y", "--specs", elsewhere)
    acme.drop("gone")
    zeta.drop("left")
    assert [] == drifted(on_fake)
    assert [] == drifted(on_fake, "--specs", elsewhere)

    for title in ("acme gone", "zeta other"):
        by_hand(on_fake, title)

    assert ["zeta/Automation/other"] == drifted(on_fake)
    assert ["acme/Automation/gone", "zeta/Automation/other"] == drifted(
        on_fake, "--specs", elsewhere
    )


def test_an_organization_that_was_taken_out_of_the_folder_drifts_until_a_daemon_has_noted_it(
    on_fake: Stage,
) -> None:
    zeta = two_in_one_folder(on_fake)
    shutil.rmtree(zeta.home)
    by_hand(on_fake, "zeta other")

    assert ["zeta/Automation/other"] == drifted(on_fake)

    with following(on_fake) as follower:
        until(lambda: follower.said("turn"), "a turn")
    assert [] == drifted(on_fake)


def test_an_organization_that_is_declared_again_drifts_whatever_a_daemon_noted(
    on_fake: Stage,
) -> None:
    zeta = two_in_one_folder(on_fake)
    kept = zeta.home.rename(zeta.root.parent / "kept")
    with following(on_fake) as follower:
        until(lambda: follower.said("turn"), "a turn")
    kept.rename(zeta.home)

    by_hand(on_fake, "zeta other")

    assert ["zeta/Automation/other"] == drifted(on_fake)
