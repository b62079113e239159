"""Settings: flags, then environment, then `reconciler.toml`, then a running `reconciler up`.

Every value remembers where it came from, so that `reconciler doctor` can say
it. Secrets are only taken from the environment or from files that the
environment or the settings file names; they never appear in a repr. Not here:
what the settings are used for, and the servers that `up` starts.
"""

from __future__ import annotations

import difflib
import enum
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from reconciler.errors import ConfigError, UsageError

STATE_FOLDER = ".reconciler"
SETTINGS_FILE = "reconciler.toml"


class Source(enum.StrEnum):
    """Where a setting came from."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = SETTINGS_FILE
    RUNNING = "reconciler up"
    DEFAULT = "default"


ENVIRONMENT: Mapping[str, str] = {
    "database_url": "DATABASE_URL",
    "database_url_file": "DATABASE_URL_FILE",
    "n8n_url": "N8N_URL",
    "n8n_api_key": "N8N_API_KEY",
    "n8n_api_key_file": "N8N_API_KEY_FILE",
    "encryption_key": "ENCRYPTION_KEY",
    "encryption_key_file": "ENCRYPTION_KEY_FILE",
    "encryption_keys_old": "ENCRYPTION_KEYS_OLD",
    "specs": "RECONCILER_SPECS",
    "public_url": "RECONCILER_PUBLIC_URL",
    "concurrency": "RECONCILER_CONCURRENCY",
    "n8n_timeout": "RECONCILER_N8N_TIMEOUT",
    "roles": "RECONCILER_ROLES",
    "host": "RECONCILER_HOST",
    "port": "RECONCILER_PORT",
    "worker_concurrency": "RECONCILER_WORKER_CONCURRENCY",
    "queues": "RECONCILER_QUEUES",
    "grace": "RECONCILER_GRACE",
    "log_level": "RECONCILER_LOG_LEVEL",
    "log_format": "RECONCILER_LOG_FORMAT",
    "retention_days": "RECONCILER_RETENTION_DAYS",
    "retention_per_automation": "RECONCILER_RETENTION_PER_AUTOMATION",
    "git_url": "RECONCILER_GIT_URL",
    "git_branch": "RECONCILER_GIT_BRANCH",
    "git_path": "RECONCILER_GIT_PATH",
    "git_token": "RECONCILER_GIT_TOKEN",
    "git_token_file": "RECONCILER_GIT_TOKEN_FILE",
    "git_ssh_key_file": "RECONCILER_GIT_SSH_KEY_FILE",
    "git_insecure": "RECONCILER_GIT_INSECURE",
    "push_secret": "RECONCILER_PUSH_SECRET",
    "push_secret_file": "RECONCILER_PUSH_SECRET_FILE",
    "poll_interval": "RECONCILER_POLL_INTERVAL",
    "drift_interval": "RECONCILER_DRIFT_INTERVAL",
    "apply_commits": "RECONCILER_APPLY_COMMITS",
    "heal_drift": "RECONCILER_HEAL_DRIFT",
    "fire_triggers": "RECONCILER_FIRE_TRIGGERS",
    "prune": "RECONCILER_PRUNE",
}
# A secret, or *_file names a file that holds it. A database's URL need not hold a password.
MIN_PUSH_SECRET = 16  # characters
_SECRETS = ("n8n_api_key", "encryption_key", "git_token", "push_secret")
_FILED = (*_SECRETS, "database_url")
_SECRET = frozenset({*_SECRETS, "encryption_keys_old"})


class Role(enum.StrEnum):
    """What a daemon does; one daemon may do everything, or many may share it."""

    API = "api"
    SCHEDULER = "scheduler"
    WORKER = "worker"
    RECONCILER = "reconciler"


def _words(value: Any) -> Any:
    """Take "a,b" for a list of words, as the environment gives it."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


Words = BeforeValidator(_words)


class Settings(BaseModel):
    """All settings of one run; frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database_url: SecretStr | None = Field(None, description="PostgreSQL 14 to 18, as a URL")
    database_url_file: Path | None = Field(None, description="A file that holds DATABASE_URL")
    n8n_url: str | None = Field(None, description="Where n8n answers, without /api/v1")
    n8n_api_key: SecretStr | None = Field(None, description="n8n's public API key")
    n8n_api_key_file: Path | None = Field(None, description="A file that holds the API key")
    encryption_key: SecretStr | None = Field(None, description="64 lower-case hex digits")
    encryption_key_file: Path | None = Field(None, description="A file that holds ENCRYPTION_KEY")
    encryption_keys_old: SecretStr | None = Field(
        None, description="Earlier keys that can still be read, separated by commas"
    )
    specs: Path = Field(Path("specs"), description="The folder that holds the spec files")
    public_url: str = Field(
        "http://127.0.0.1:8080", description="Where webhook callers reach the daemon"
    )
    concurrency: int = Field(8, ge=1, le=64, description="Changes applied at the same time")
    n8n_timeout: float = Field(30.0, gt=0, le=600, description="Seconds one n8n call may take")
    roles: Annotated[tuple[Role, ...], Words] = Field(
        tuple(Role), min_length=1, description="What this daemon does, separated by commas"
    )
    host: str = Field("127.0.0.1", description="The address that the daemon listens on")
    port: int = Field(8080, ge=0, le=65535, description="The daemon's port; 0 takes a free one")
    worker_concurrency: int = Field(
        10, ge=1, le=1000, description="Executions that one daemon runs at the same time"
    )
    queues: Annotated[tuple[str, ...], Words] = Field(
        (), description="Run only what these started, such as webhook,api; all when empty"
    )
    grace: float = Field(30.0, ge=0, le=3600, description="Seconds to finish runs when stopping")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important lines of the daemon's log"
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, JSON elsewhere"
    )
    retention_days: int = Field(
        14, ge=0, le=3650, description="Days that ended executions are kept; 0 keeps them for ever"
    )
    retention_per_automation: int = Field(
        10_000, ge=0, description="Ended executions kept of one automation; 0: no limit"
    )
    git_url: str | None = Field(None, description="Where the daemon takes specs from (https, ssh)")
    git_branch: str = Field("main", description="The branch that the daemon follows")
    git_path: str = Field("", description="The folder with the specs inside the repository")
    git_token: SecretStr | None = Field(None, description="The password for git over https")
    git_token_file: Path | None = Field(None, description="A file that holds the git token")
    git_ssh_key_file: Path | None = Field(None, description="The private key for git over ssh")
    git_insecure: bool = Field(False, description="Whether git may use file:// and http://")
    push_secret: SecretStr | None = Field(None, description="What git servers sign pushes with")
    push_secret_file: Path | None = Field(None, description="A file that holds the push secret")
    poll_interval: float = Field(60.0, gt=0, description="Seconds between two looks at the specs")
    drift_interval: float = Field(120.0, gt=0, description="Seconds between two looks at drift")
    apply_commits: bool = Field(True, description="Whether the daemon applies new specs")
    heal_drift: bool = Field(True, description="Whether the daemon undoes changes made elsewhere")
    fire_triggers: bool = Field(True, description="Whether the daemon runs what is triggered")
    prune: bool = Field(False, description="Whether the daemon removes what is not declared")
    stand_ins: bool = Field(False, description="Whether made-up secrets may be used, as in `up`")
    state: Path = Field(Path(STATE_FOLDER), description="Folder for local state and keys")
    sources: dict[str, Source] = Field(default_factory=dict, exclude=True)

    @property
    def private_files(self) -> list[Path]:
        """The files with our own keys: no secret of a spec may be read from them."""
        names = (*(f"{name}_file" for name in _FILED), "git_ssh_key_file")
        return [path for name in names if (path := getattr(self, name)) is not None]

    def source(self, name: str) -> Source:
        """Tell where the value of *name* came from."""
        return self.sources.get(name, Source.DEFAULT)


def load_settings(
    flags: Mapping[str, Any],
    running: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Put the settings together; an error names the setting and its source.

    Raises UsageError for a wrong flag and ConfigError for what was set elsewhere.
    """
    environ = os.environ if environ is None else environ
    folder = Path() if folder is None else folder
    layers: list[tuple[Source, Mapping[str, Any]]] = [
        (Source.FLAG, {k: v for k, v in flags.items() if v is not None}),
        (Source.ENVIRONMENT, {k: environ[e] for k, e in ENVIRONMENT.items() if environ.get(e)}),
        (Source.FILE, _settings_file(folder / SETTINGS_FILE)),
        (Source.RUNNING, running or {}),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for source, layer in layers:
        for name, value in layer.items():
            if name not in values:
                values[name], sources[name] = value, source
    _prefer_nearer_key(values, sources)
    values.setdefault("state", folder / STATE_FOLDER)
    try:
        settings = Settings(**values, sources=sources)
    except ValidationError as error:
        raise _explain(error, sources) from None
    settings = _read_key_files(settings, folder)
    _require_length(settings)
    return settings


_LAYERS = (Source.FLAG, Source.ENVIRONMENT, Source.FILE, Source.RUNNING)


def _prefer_nearer_key(values: dict[str, Any], sources: dict[str, Source]) -> None:
    """A key and a key file may come from two layers: the nearer one wins."""
    for name in _FILED:
        file = f"{name}_file"
        if name in values and file in values:
            nearer = min((name, file), key=lambda n: _LAYERS.index(sources[n]))
            loser = file if nearer == name else name
            del values[loser], sources[loser]


def _settings_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        message = f"can't read {path}: {error}"
        raise ConfigError(message) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{path} is not TOML: {error}"
        raise ConfigError(message) from None
    known = [name for name in ENVIRONMENT if name not in _SECRET]
    for name in data:
        if name in _SECRET:
            message = f"{path}: a secret such as `{name}` does not belong into this file"
            raise ConfigError(message, hint=f"set {ENVIRONMENT[name]} in the environment")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            message = f"{path}: unknown setting `{name}`"
            raise ConfigError(message, hint=f"did you mean `{near[0]}`?" if near else None)
    return data


def _explain(error: ValidationError, sources: Mapping[str, Source]) -> ConfigError | UsageError:
    """Say which setting is wrong and where it was set, but never its value."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    origin = sources.get(name, Source.DEFAULT)
    where = ENVIRONMENT.get(name, name) if origin is Source.ENVIRONMENT else name
    message = f"setting `{where}` (from {origin}) is wrong: {first['msg']}"
    return UsageError(message) if origin is Source.FLAG else ConfigError(message)


def _require_length(settings: Settings) -> None:
    """Refuse a push secret that can be guessed; raises ConfigError."""
    secret = settings.push_secret
    if secret is not None and len(secret.get_secret_value()) < MIN_PUSH_SECRET:
        origin = settings.source("push_secret")
        message = f"setting `push_secret` (from {origin}) is wrong: it is too short"
        hint = f"at least {MIN_PUSH_SECRET} characters, such as `openssl rand -hex 32` makes"
        raise ConfigError(message, hint=hint)


def _read_key_files(settings: Settings, folder: Path) -> Settings:
    found: dict[str, Any] = {}
    for name in _FILED:
        file = getattr(settings, f"{name}_file")
        if file is None or getattr(settings, name) is not None:
            continue
        try:
            text = (folder / file).read_text(encoding="ascii")[:4096].strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not plain text"
            message = f"can't read {file}, which `{name}_file` names: {reason}"
            raise ConfigError(message) from None
        found[name] = SecretStr(text)
        settings.sources[name] = settings.source(f"{name}_file")
    return settings.model_copy(update=found) if found else settings
