"""Secret references, fingerprints, stand-ins: nothing shows a value, nothing leaves the root."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import stat
from pathlib import Path

import pytest

from reconciler.errors import ConfigError
from reconciler.vault.keyring import Keyring
from reconciler.vault.secret import Secret
from reconciler.vault.secrets import (
    MAX_BYTES,
    SecretMissing,
    SecretReference,
    SecretSources,
    entry_secret,
    fingerprint,
)
from reconciler.vault.standins import make_standins, read_standins

KEYRING = Keyring.parse(hashlib.sha256(b"a key for tests").hexdigest())
OTHER = Keyring.parse(hashlib.sha256(b"another key for tests").hexdigest())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project folder with a state folder in it, and a file outside."""
    project = tmp_path / "project"
    (project / ".reconciler").mkdir(parents=True)
    (project / "secrets").mkdir()
    (tmp_path / "outside").write_text("not yours", encoding="utf-8")
    return project


def sources(root: Path, **environ: str) -> SecretSources:
    return SecretSources(
        environ, [root, root.parent / "mounted"], [root / ".reconciler", root / "secrets/master"]
    )


def test_a_secret_is_not_shown_by_anything_that_prints() -> None:
    secret = Secret("canary")

    shown = f"{secret} {secret!r} {secret!s} {secret:>40} {[secret]} { ({'key': secret}) }"

    assert "canary" not in shown
    assert secret.reveal() == "canary"


def test_a_secret_can_be_neither_pickled_nor_copied() -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            attempt(Secret("canary"))


def test_secrets_are_compared_by_value_and_have_no_hash() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert not Secret("")
    with pytest.raises(TypeError):
        hash(Secret("a"))


def test_a_fingerprint_changes_with_each_of_its_parts_and_with_the_key() -> None:
    prints = {
        fingerprint(KEYRING, "acme", "crm", "token", Secret("v")),
        fingerprint(KEYRING, "globex", "crm", "token", Secret("v")),
        fingerprint(KEYRING, "acme", "shop", "token", Secret("v")),
        fingerprint(KEYRING, "acme", "crm", "user", Secret("v")),
        fingerprint(KEYRING, "acme", "crm", "token", Secret("w")),
        fingerprint(KEYRING, "acmec", "rm", "token", Secret("v")),
        fingerprint(OTHER, "acme", "crm", "token", Secret("v")),
    }

    assert len(prints) == 7
    assert all(len(text) == 12 and int(text, 16) >= 0 for text in prints)


def test_a_fingerprint_stays_the_same() -> None:
    # A literal: if this changes, every secret of every user looks changed after an upgrade.
    assert fingerprint(KEYRING, "acme", "crm", "token", Secret("v")) == "6abc7ec6c30e"


def test_an_entry_secret_belongs_to_one_organization_and_one_key() -> None:
    secret = entry_secret(KEYRING, "acme")

    assert secret == entry_secret(KEYRING, "acme")
    assert secret != entry_secret(KEYRING, "globex")
    assert secret != entry_secret(OTHER, "acme")
    assert len(secret.reveal()) == 43


@pytest.mark.parametrize("parts", [{}, {"env": "A", "file": "b"}, {"env": "A", "age": "b"}])
def test_a_reference_names_exactly_one_place(parts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        SecretReference(**parts)


async def test_a_variable_is_read(root: Path) -> None:
    secret = await sources(root, CRM_TOKEN="v").read(SecretReference(env="CRM_TOKEN"))

    assert secret == Secret("v")


@pytest.mark.parametrize("environ", [{}, {"CRM_TOKEN": ""}])
async def test_a_variable_that_is_unset_or_empty_is_missing(
    root: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(SecretMissing, match="CRM_TOKEN is not set"):
        await sources(root, **environ).read(SecretReference(env="CRM_TOKEN"))


@pytest.mark.parametrize("name", ["ENCRYPTION_KEY", "DATABASE_URL", "N8N_API_KEY"])
async def test_our_own_keys_can_not_be_used_as_secrets(root: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="own setting") as caught:
        await sources(root, **{name: "canary"}).read(SecretReference(env=name))

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "content, value",
    [("v", "v"), ("v\n", "v"), ("v\r\n", "v"), (" v \n\n", " v \n"), ("grüße\n", "grüße")],
)
async def test_a_file_is_read_without_its_last_newline(
    root: Path, content: str, value: str
) -> None:
    (root / "secrets/crm").write_bytes(content.encode())

    assert await sources(root).read(SecretReference(file="secrets/crm")) == Secret(value)


@pytest.mark.parametrize("name", ["secrets/none", "secrets/none/below", "secrets/empty"])
async def test_a_file_that_is_absent_or_empty_is_missing(root: Path, name: str) -> None:
    (root / "secrets/empty").write_text("\n", encoding="utf-8")

    with pytest.raises(SecretMissing):
        await sources(root).read(SecretReference(file=name))


async def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    (root / "secrets/real").write_text("v\n", encoding="utf-8")
    (root / "secrets/link").symlink_to("real")

    assert await sources(root).read(SecretReference(file="secrets/link")) == Secret("v")


async def test_a_file_below_a_second_folder_is_read_by_its_full_name(root: Path) -> None:
    mounted = root.parent / "mounted"
    mounted.mkdir()
    (mounted / "crm").write_text("v", encoding="utf-8")

    assert await sources(root).read(SecretReference(file=f"{mounted}/crm")) == Secret("v")


@pytest.mark.parametrize(
    "name, why",
    [
        ("../outside", "outside of"),
        ("secrets/link-out", "outside of"),
        ("/etc/hostname", "outside of"),
        ("/proc/self/environ", "outside of"),
        ("folder-out/outside", "outside of"),
        (".reconciler/encryption.key", "own keys"),
        ("secrets/link-key", "own keys"),
        ("secrets/master", "own keys"),
        ("secrets", "regular file|is a directory"),
        ("secrets/pipe", "regular file"),
        ("secrets/loop", "refused"),
        ("secrets/big", "more than 65536 bytes"),
        ("secrets/binary", "UTF-8"),
        ("secrets/n\0ul", "refused"),
        ("secrets/" + "x" * 300, "refused"),
    ],
)
async def test_a_file_with_surprises_is_refused(root: Path, name: str, why: str) -> None:
    (root / ".reconciler/encryption.key").write_text("canary", encoding="utf-8")
    (root / "secrets/master").write_text("canary", encoding="utf-8")
    (root / "secrets/link-out").symlink_to(root.parent / "outside")
    (root / "folder-out").symlink_to(root.parent)
    (root / "secrets/link-key").symlink_to("../.reconciler/encryption.key")
    (root / "secrets/loop").symlink_to("loop")
    (root / "secrets/big").write_bytes(b"x" * (MAX_BYTES + 1))
    (root / "secrets/binary").write_bytes(b"\xff\xfe")
    os.mkfifo(root / "secrets/pipe")

    with pytest.raises(ConfigError, match=why) as caught:
        await sources(root).read(SecretReference(file=name))

    assert not isinstance(caught.value, SecretMissing)
    assert "canary" not in str(caught.value)


async def test_an_age_value_is_a_clear_error(root: Path) -> None:
    with pytest.raises(ConfigError, match="age-encrypted values are not supported yet"):
        await sources(root).read(SecretReference(age="age1..."))


async def test_reading_many_tells_what_is_missing_and_keeps_the_rest(root: Path) -> None:
    here, gone = SecretReference(env="HERE"), SecretReference(env="GONE")

    found = await sources(root, HERE="v").read_all([here, gone])

    assert found[here] == Secret("v")
    assert isinstance(found[gone], SecretMissing)


def test_stand_ins_are_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "state" / "dev.env"

    assert make_standins(path, ["B_TOKEN", "A_TOKEN"]) == ("A_TOKEN", "B_TOKEN")
    first = read_standins(path)
    assert make_standins(path, ["B_TOKEN", "C_TOKEN"]) == ("C_TOKEN",)
    assert make_standins(path, ["B_TOKEN"]) == ()
    second = read_standins(path)

    assert first.items() <= second.items()
    assert set(second) == {"A_TOKEN", "B_TOKEN", "C_TOKEN"}
    assert len(set(second.values())) == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_there_are_no_stand_ins(tmp_path: Path) -> None:
    assert read_standins(tmp_path / "dev.env") == {}


def test_a_line_that_is_no_assignment_is_named_but_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "dev.env"
    path.write_text("# head\nA=b=c\ncanary\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"dev\.env:3 is not of the form") as caught:
        read_standins(path)

    assert "canary" not in str(caught.value)
