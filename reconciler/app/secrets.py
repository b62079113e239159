"""Where the secrets that specs name are read from. Not here: reading them (`reconciler.vault`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from reconciler.settings import Settings
from reconciler.vault.secrets import SecretSources
from reconciler.vault.standins import read_standins

STANDINS = "dev.env"


def secret_sources(settings: Settings, environ: Mapping[str, str]) -> SecretSources:
    """Say where secrets may be read from, and where they may not."""
    keys = (settings.encryption_key_file, settings.n8n_api_key_file)
    private = [settings.state, *(path for path in keys if path is not None)]
    folders = [Path.cwd(), settings.specs, Path("/run/secrets")]
    return SecretSources(environ, folders, private)


def environment(settings: Settings) -> Mapping[str, str]:
    """Give the environment, above what `up` made up for secrets that nobody set."""
    made_up = read_standins(settings.state / STANDINS) if settings.stand_ins else {}
    return {**made_up, **os.environ}
