"""A spec folder that somebody works in: seen when it has come to rest, never in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconciler.errors import RevisionGone
from reconciler.kinds.models import MODELS
from reconciler.resource.address import Address
from reconciler.source.watch import Folder
from tests.acceptance.repository import Repository
from tests.doubles.repositories import Team

GREETER = Address("acme", "Automation", "greeter")


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Folder]:
    folder = Folder(tmp_path / "specs", MODELS, quiet=0.2)
    yield folder
    await folder.close()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "specs", "acme").organization().automation("greeter")


async def test_what_did_not_change_is_not_read_again(
    folder: Folder, repository: Repository
) -> None:
    first = await folder.look()
    assert await folder.look() is first
    repository.automation("second")
    second = await folder.look()

    assert first.name != second.name
    assert await folder.look() is second


async def test_the_same_texts_are_the_same_revision(folder: Folder, repository: Repository) -> None:
    first = await folder.look()
    repository.automation("greeter")  # the same, with other times

    assert (await folder.look()).name == first.name


async def test_a_commit_is_noticed_though_it_changes_no_file(
    folder: Folder, repository: Repository, tmp_path: Path
) -> None:
    team = Team(tmp_path / "none.git", tmp_path)
    team.git("init", "--quiet", "--initial-branch=main")
    first = team.commit()[:12]
    assert first == (await folder.look()).name
    repository.automation("greeter", says="edited")
    edited = (await folder.look()).name
    assert edited.startswith(f"{first}+")
    second = team.commit()[:12]
    assert second == (await folder.look()).name
    empty = team.commit()[:12]  # another one, with the same files
    seen = await folder.look()

    assert (empty, empty) == (seen.name, seen.commit)
    assert await folder.look() is seen


async def test_a_file_that_is_being_written_is_waited_for(
    folder: Folder, repository: Repository
) -> None:
    path = repository.home / "greeter.yaml"
    text = path.read_text(encoding="utf-8")

    async def write() -> None:
        with path.open("w", encoding="utf-8") as file:
            for at in range(0, len(text), 40):
                file.write(text[at : at + 40])
                file.flush()
                await asyncio.sleep(0.05)

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.1)
    sighting = await folder.look()
    ended = writing.done()
    await writing

    assert (ended, sighting.loaded.ok) == (True, True)


async def test_while_git_works_nothing_is_read(
    folder: Folder, repository: Repository, tmp_path: Path
) -> None:
    Team(tmp_path / "none.git", tmp_path).git("init", "--quiet", "--initial-branch=main")
    lock = tmp_path / ".git/index.lock"
    lock.write_text("", encoding="utf-8")
    looking = asyncio.create_task(folder.look())
    await asyncio.sleep(0.8)
    waited = not looking.done()
    lock.unlink()
    sighting = await looking

    assert waited
    assert sighting.loaded.ok


async def test_a_folder_that_is_not_there_says_so_until_it_is(
    folder: Folder, tmp_path: Path
) -> None:
    with pytest.raises(RevisionGone, match="no spec folder"):
        await folder.look()
    Repository(tmp_path / "specs", "acme").organization()

    assert (await folder.look()).loaded.ok


async def test_a_change_is_reported(folder: Folder, repository: Repository) -> None:
    await folder.look()
    waiting = asyncio.create_task(folder.changed(20))
    await asyncio.sleep(0.7)
    began = time.monotonic()
    repository.automation("second")
    await waiting

    assert time.monotonic() - began < 10


async def test_a_commit_is_a_change(folder: Folder, repository: Repository, tmp_path: Path) -> None:
    team = Team(tmp_path / "none.git", tmp_path)
    team.git("init", "--quiet", "--initial-branch=main")
    team.commit()
    await folder.look()
    team.commit()
    async with asyncio.timeout(20):
        await folder.changed(60)


async def test_without_a_change_it_returns_in_time(folder: Folder, repository: Repository) -> None:
    await folder.look()
    await folder.changed(0.01)
    began = time.monotonic()
    await folder.changed(0.3)

    assert 0.2 < time.monotonic() - began < 5


async def test_an_earlier_commit_of_its_repository_can_be_read_and_nothing_is_written(
    folder: Folder, repository: Repository, tmp_path: Path
) -> None:
    team = Team(tmp_path / "none.git", tmp_path)
    team.git("init", "--quiet", "--initial-branch=main")
    first = team.commit("first")
    repository.drop("greeter")
    second = team.commit("second")
    before = sorted(path for path in tmp_path.rglob("*") if ".git/" not in str(path))

    now, then = await folder.look(), await folder.at(first[:12])

    assert (now.revision, then.revision) == (second[:12], first[:12])
    assert (now.loaded.resource(GREETER), then.loaded.resource(GREETER) is None) == (None, False)
    assert await folder.descends(now, first[:12])
    assert not await folder.descends(then, second[:12])
    assert before == sorted(path for path in tmp_path.rglob("*") if ".git/" not in str(path))


async def test_outside_of_git_there_is_no_earlier_commit(
    folder: Folder, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")

    with pytest.raises(RevisionGone, match="does not lie in a git repository"):
        await folder.at("0123456789ab")
