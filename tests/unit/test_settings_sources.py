"""Where settings come from, and that what `up` knows serves its own servers only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.cli.options import settings_from
from reconciler.embedded import process
from reconciler.errors import ConfigError, UsageError
from reconciler.settings import Source, load_settings

OWN = "postgresql://own@127.0.0.1:5/own"


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which an `up` seems to run: this process."""
    state = tmp_path / ".reconciler"
    state.mkdir()
    note = {
        "pid": os.getpid(),
        "born": process.birth(os.getpid()),
        "started_at": "now",
        "database_url": OWN,
        "n8n_url": "http://127.0.0.1:6",
        "n8n_api_key": "own-key",
    }
    (state / "up.json").write_text(json.dumps(note), encoding="utf-8")
    (state / "encryption.key").write_text("ab" * 32, encoding="ascii")
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "N8N_URL", "N8N_API_KEY", "ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_second_shell_finds_the_servers_of_a_running_up(running: Path) -> None:
    settings = settings_from({})

    assert settings.n8n_url == "http://127.0.0.1:6"
    assert settings.n8n_api_key is not None
    assert settings.encryption_key is not None
    assert settings.stand_ins
    assert Source.RUNNING is settings.source("n8n_url")


def test_the_api_key_of_up_is_never_given_to_another_n8n(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("N8N_URL", "http://127.0.0.1:7")

    assert settings_from({}).n8n_api_key is None


def test_the_key_and_the_stand_ins_of_up_never_serve_another_database(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://prod@127.0.0.1:8/prod")

    settings = settings_from({})

    assert settings.encryption_key is None
    assert not settings.stand_ins


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text('specs = "file"\nconcurrency = 3\n', encoding="utf-8")

    settings = load_settings(
        {"specs": "flag"}, None, {"RECONCILER_SPECS": "env", "N8N_URL": "http://n"}, tmp_path
    )

    assert ("flag", Source.FLAG) == (str(settings.specs), settings.source("specs"))
    assert ("http://n", Source.ENVIRONMENT) == (settings.n8n_url, settings.source("n8n_url"))
    assert (3, Source.FILE) == (settings.concurrency, settings.source("concurrency"))


def test_a_misspelt_setting_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text("concurency = 3\n", encoding="utf-8")

    with pytest.raises(ConfigError) as refused:
        load_settings({}, None, {}, tmp_path)

    assert "did you mean `concurrency`?" == refused.value.hint


def test_a_secret_in_the_settings_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text('n8n_api_key = "x"\n', encoding="utf-8")

    with pytest.raises(ConfigError):
        load_settings({}, None, {}, tmp_path)


def test_a_wrong_value_is_named_and_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_settings({}, None, {"RECONCILER_CONCURRENCY": "s3cret"}, tmp_path)

    assert "RECONCILER_CONCURRENCY" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "name, value", [("worker_concurrency", "many"), ("roles", "wroker"), ("port", "abc")]
)
def test_a_wrong_flag_is_the_callers_mistake_and_not_the_configurations(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(UsageError, match=f"`{name}` .from flag. is wrong"):
        load_settings({name: value}, None, {}, tmp_path)

    (tmp_path / "reconciler.toml").write_text(f'{name} = "{value}"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=f"`{name}` .from reconciler.toml. is wrong"):
        load_settings({}, None, {}, tmp_path)


def test_the_address_of_the_database_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://me:secret@db/x\n", encoding="utf-8")

    settings = load_settings({}, None, {"DATABASE_URL_FILE": "url"}, tmp_path)

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://me:secret@db/x"
    assert settings.private_files == [Path("url")]


@pytest.mark.parametrize("filed", [False, True], ids=["environment", "file"])
def test_a_push_secret_that_can_be_guessed_is_refused(tmp_path: Path, *, filed: bool) -> None:
    short, long = "a" * 15, "a" * 16
    note = tmp_path / "secret"

    def given(secret: str) -> dict[str, str]:
        note.write_text(secret, encoding="ascii")
        name = "RECONCILER_PUSH_SECRET"
        return {f"{name}_FILE": str(note)} if filed else {name: secret}

    with pytest.raises(ConfigError, match="too short") as caught:
        load_settings({}, environ=given(short), folder=tmp_path)
    assert short not in str(caught.value)
    assert load_settings({}, environ=given(long), folder=tmp_path).push_secret is not None
