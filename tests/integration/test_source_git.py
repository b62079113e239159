"""Specs out of a git branch: only blobs are read, and nothing in a repository is obeyed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from reconciler.errors import ConfigError, GitUnreachable, RevisionGone
from reconciler.kinds.models import MODELS
from reconciler.resource.address import Address
from reconciler.source import git as source_git
from reconciler.source.load import load
from reconciler.source.mirror import Mirror, Remote
from tests.acceptance.repository import Repository
from tests.doubles.repositories import Team, git

HOME = "organizations/acme"


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """A repository with an organization and an automation in specs/."""
    team = Team.begin(tmp_path)
    Repository(team.clone / "specs", "acme").organization().automation("greeter")
    team.push()
    return team


@pytest.fixture
def mirror(team: Team, tmp_path: Path) -> Mirror:
    return mirror_of(team, tmp_path / "state")


def mirror_of(team: Team, state: Path, folder: str = "specs") -> Mirror:
    remote = Remote(url=team.url, branch=team.branch, folder=folder, insecure=True)
    return Mirror(state, remote, seconds=20)


async def codes(mirror: Mirror) -> dict[str, str]:
    """Load the newest commit; give what is wrong, by file."""
    loaded = await mirror.commit(await mirror.fetch()).load(MODELS)
    return {d.mark.path: d.code for d in loaded.diagnostics if d.mark is not None}


async def test_a_commit_says_the_same_as_its_checkout(team: Team, mirror: Mirror) -> None:
    commit = await mirror.fetch()
    from_git = await mirror.commit(commit).load(MODELS)
    from_files = load(team.clone / "specs", MODELS)

    assert team.head() == commit
    assert from_git.ok
    assert [r.address for r in from_files.resources] == [r.address for r in from_git.resources]
    assert [r.spec for r in from_files.resources] == [r.spec for r in from_git.resources]
    assert set(from_git.texts) == {
        f"specs/{HOME}/organization.yaml",
        f"specs/{HOME}/greeter.yaml",
        f"specs/{HOME}/workflows/greeter.json",
    }


async def test_a_later_commit_is_found_and_the_earlier_one_stays_readable(
    team: Team, mirror: Mirror
) -> None:
    first = await mirror.fetch()
    (team.clone / f"specs/{HOME}/greeter.yaml").unlink()
    second = team.push()

    assert await mirror.fetch() == second
    assert await mirror.descends(second, first)
    assert not await mirror.descends(first, second)
    old = await mirror.commit(first).load(MODELS)
    new = await mirror.commit(second).load(MODELS)
    greeter = Address("acme", "Automation", "greeter")
    assert (old.resource(greeter) is None, new.resource(greeter) is None) == (False, True)
    assert await mirror.find(first[:12]) == first


async def test_a_rewritten_history_is_noticed_and_the_lost_commit_stays_readable(
    team: Team, mirror: Mirror
) -> None:
    lost = await mirror.fetch()
    team.git("commit", "--quiet", "--amend", "-m", "another past")
    tip = team.push()

    assert await mirror.fetch() == tip
    assert not await mirror.descends(tip, lost)
    assert (await mirror.commit(lost).load(MODELS)).ok


async def test_a_branch_that_is_gone_says_so_and_nothing_is_forgotten(
    team: Team, mirror: Mirror
) -> None:
    tip = await mirror.fetch()
    git(team.bare, "update-ref", "-d", "refs/heads/main")

    with pytest.raises(RevisionGone, match="no branch main"):
        await mirror.fetch()
    assert await mirror.find(tip[:12]) == tip
    assert (await mirror.commit(tip).load(MODELS)).ok


async def test_a_folder_that_is_gone_says_so(team: Team, tmp_path: Path) -> None:
    mirror = mirror_of(team, tmp_path / "state", "automations")

    with pytest.raises(RevisionGone, match="no folder automations"):
        await mirror.commit(await mirror.fetch()).load(MODELS)


async def test_a_repository_that_is_away_is_unreachable(tmp_path: Path) -> None:
    remote = Remote(url=f"file://{tmp_path}/nobody.git", insecure=True)

    with pytest.raises(GitUnreachable, match="can't fetch"):
        await Mirror(tmp_path / "state", remote).fetch()


async def test_links_and_submodules_are_refused_and_the_rest_is_read(
    team: Team, mirror: Mirror
) -> None:
    team.write("secret.txt", "root:x:0:0")
    (team.clone / f"specs/{HOME}/link.yaml").symlink_to("/etc/passwd")
    (team.clone / f"specs/{HOME}/near.yaml").symlink_to("greeter.yaml")
    team.git("add", "--all")
    entry = f"160000,{team.head()},specs/{HOME}/module"
    team.git("update-index", "--add", "--cacheinfo", entry)
    team.git("commit", "--quiet", "-m", "odd things")
    team.git("push", "--quiet", "origin", "HEAD:refs/heads/main")

    loaded = await mirror.commit(await mirror.fetch()).load(MODELS)
    found = {d.mark.path: d.message for d in loaded.diagnostics if d.mark is not None}
    assert found == {
        f"specs/{HOME}/link.yaml": "this is a symbolic link",
        f"specs/{HOME}/module": "this is a submodule",
        f"specs/{HOME}/near.yaml": "this is a symbolic link",
    }
    assert not any("root:" in text for text in loaded.texts.values())
    assert loaded.resource(Address("acme", "Automation", "greeter")) is not None


async def test_a_linked_workflow_file_is_refused(team: Team, mirror: Mirror) -> None:
    workflow = team.clone / f"specs/{HOME}/workflows/greeter.json"
    workflow.unlink()
    workflow.symlink_to("/etc/hostname")
    team.push()

    assert await codes(mirror) == {f"specs/{HOME}/greeter.yaml": "FIL103"}


@pytest.mark.parametrize(
    "name, content, code",
    [
        ("large.yaml", b"#" * (1024 * 1024 + 1), "FIL104"),
        ("latin.yaml", b"# caf\xe9", "FIL106"),
        ("turned\u202eyam.yaml", b"# a", "FIL108"),
        ("GREETER.yaml", b"# a", "FIL109"),
    ],
)
async def test_a_file_is_checked_as_in_a_folder(
    team: Team, mirror: Mirror, name: str, content: bytes, code: str
) -> None:
    team.write(f"specs/{HOME}/{name}", content)
    team.push()

    assert set((await codes(mirror)).values()) == {code}


async def test_hidden_folders_and_executable_files_are_as_in_a_folder(
    team: Team, mirror: Mirror
) -> None:
    team.write("specs/.cache/broken.yaml", "a: [")
    (team.clone / f"specs/{HOME}/greeter.yaml").chmod(0o755)
    team.push()

    assert await codes(mirror) == {}


async def test_nothing_in_the_repository_is_run(team: Team, mirror: Mirror, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {trap}\n"
    for hook in ("pre-receive", "post-checkout", "post-merge", "reference-transaction"):
        team.write(f".git/hooks/{hook}", script).chmod(0o755)
    team.write(".gitattributes", "*.yaml filter=evil diff=evil\n")
    team.write("specs/.gitattributes", "*.yaml filter=evil\n")
    team.push()
    state = mirror.folder.parent
    state.mkdir(parents=True, exist_ok=True)

    await mirror.commit(await mirror.fetch()).load(MODELS)
    (mirror.folder / "hooks").mkdir(exist_ok=True)
    (mirror.folder / "hooks/reference-transaction").write_text(script, encoding="utf-8")
    (mirror.folder / "hooks/reference-transaction").chmod(0o755)
    team.push("again")
    trap.unlink(missing_ok=True)  # the team's own hooks, in their own clone
    await mirror.fetch()

    assert not trap.exists()
    assert not list(mirror.folder.rglob("*.yaml"))


async def test_a_fetch_that_was_killed_leaves_nothing_in_the_way(
    team: Team, mirror: Mirror
) -> None:
    await mirror.fetch()
    (mirror.folder / "refs/reconciler/tip-0.lock").write_text("", encoding="utf-8")
    commit = team.push("later")

    assert await mirror.fetch() == commit


async def test_many_may_fetch_at_the_same_time(team: Team, mirror: Mirror) -> None:
    found = await asyncio.gather(*[mirror.fetch() for _ in range(6)])

    assert {team.head()} == set(found)


async def test_a_mirror_that_is_damaged_is_made_again(team: Team, mirror: Mirror) -> None:
    await mirror.fetch()
    (mirror.folder / "HEAD").unlink()

    assert await mirror.fetch() == team.head()


@pytest.mark.parametrize(
    "url",
    [
        "--upload-pack=touch x",
        "ext::sh -c touch% x",
        "file:///srv/specs.git",
        "http://git.example/specs.git",
        "https://ada:pw@git.example/specs.git",
        "https://git.example/specs.git\n-x",
        "ssh://-oProxyCommand=x/specs",
        "-oProxyCommand=x@host:specs",
        "git@-oProxyCommand=x:specs",
        "/srv/specs.git",
        "",
    ],
)
def test_an_odd_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        source_git.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/acme/specs.git",
        "https://git.example:8443/acme/specs",
        "ssh://git@git.example:22/acme/specs.git",
        "git@git.example:acme/specs.git",
        "https://[2001:db8::1]/specs.git",
    ],
)
def test_a_usual_url_passes(url: str) -> None:
    assert source_git.check_url(url) == url


@pytest.mark.parametrize(
    "name",
    [
        "--upload-pack=touch x;",
        "a b",
        "a..b",
        "a@{1}",
        "/a",
        "a/",
        "a//b",
        ".a",
        "a.lock",
        "a\nb",
        "@",
        "",
    ],
)
def test_an_odd_branch_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        source_git.check_branch(name)


@pytest.mark.parametrize("name", ["main", "release/1.2", "feature/größe", "a-b_c+d"])
def test_a_usual_branch_passes(name: str) -> None:
    assert source_git.check_branch(name) == name


@pytest.mark.parametrize("path", ["../up", "a/../b", "/etc", "a//b", "a\nb", "./a"])
def test_an_odd_folder_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        source_git.check_folder(path)


async def test_the_token_stands_in_no_argument_and_no_repr(tmp_path: Path) -> None:
    remote = Remote(url="https://git.example/specs.git", token="a-made-up-token")

    assert "a-made-up-token" not in repr(remote)
    variables = remote.variables()
    assert "a-made-up-token" not in json.dumps(variables)  # it is encoded, as HTTP wants it
    assert variables["GIT_CONFIG_KEY_0"] == "http.extraHeader"


async def test_git_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(GitUnreachable, match="did not answer"):
        await source_git.run(
            ["sh", "-c", "sleep 60 & sleep 60"], {"PATH": "/usr/bin:/bin"}, b"", 100, 0.3
        )


async def test_git_that_says_too_much_is_ended(tmp_path: Path) -> None:
    with pytest.raises(GitUnreachable, match="more than"):
        await source_git.run(["yes"], {"PATH": "/usr/bin:/bin"}, b"", 1 << 20, 10)


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("steps", range(16))
async def test_git_may_be_given_up_at_any_moment(
    steps: int, slow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().set_debug(slow)  # other things come in between
    for _ in range(20):
        call = asyncio.create_task(source_git.run(["true"], {}, b"word", 1000, 20))
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait({call})
    await asyncio.sleep(0.01)

    wrong = ("Unknown child process", "Exception in callback", "never retrieved")
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if line.startswith(wrong) or line.endswith(wrong)] == []
