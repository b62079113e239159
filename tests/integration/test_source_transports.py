"""The two ways to a private repository: a token over HTTP, a key over ssh."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import GitUnreachable
from reconciler.kinds.models import MODELS
from reconciler.source.mirror import Mirror, Remote
from tests.acceptance.repository import Repository
from tests.doubles.git_server import git_over_http, stand_in_ssh
from tests.doubles.repositories import Team

TOKEN = "a-made-up-token"


@pytest.fixture
def team(tmp_path: Path) -> Team:
    team = Team.begin(tmp_path)
    Repository(team.clone, "acme").organization().automation("greeter")
    team.push()
    return team


async def test_a_token_opens_a_repository_over_http(team: Team, tmp_path: Path) -> None:
    with git_over_http(tmp_path, TOKEN) as address:
        remote = Remote(url=f"{address}/team.git", token=TOKEN, insecure=True)
        mirror = Mirror(tmp_path / "state", remote, seconds=30)
        commit = await mirror.fetch()

        assert team.head() == commit
        assert (await mirror.commit(commit).load(MODELS)).ok
    kept = [path for path in mirror.folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize("token", [None, "another"])
async def test_without_the_token_it_fails_at_once_and_says_why(
    team: Team, tmp_path: Path, token: str | None
) -> None:
    with git_over_http(tmp_path, TOKEN) as address:
        remote = Remote(url=f"{address}/team.git", token=token, insecure=True)
        with pytest.raises(GitUnreachable) as caught:
            await Mirror(tmp_path / "state", remote, seconds=30).fetch()

    assert "another" not in str(caught.value)
    assert address in str(caught.value)


async def test_a_key_opens_a_repository_over_ssh(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = stand_in_ssh(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    key = tmp_path / "the key"
    remote = Remote(url=f"git@git.example:{team.bare}", ssh_key=key)

    commit = await Mirror(tmp_path / "state", remote, seconds=30).fetch()

    words = note.read_text(encoding="utf-8").splitlines()
    assert team.head() == commit
    assert ["-oBatchMode=yes", "git@git.example"] == [words[0], words[-2]]
    assert str(key) in words
