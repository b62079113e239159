"""The key file that `up` makes for a machine that has no ENCRYPTION_KEY yet.

Not here: what the key encrypts (`reconciler.vault`).
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from reconciler.embedded.files import ensure_secret, usable
from reconciler.errors import ConfigError


def ensure_key_file(path: Path) -> str:
    """Return the 64 hex digits kept in *path*, a 0600 file that is made once and never replaced.

    Raises ConfigError when the file holds something else, or others may read it.
    """
    with usable(path.parent):
        key = ensure_secret(path, secrets.token_hex(32))
    if not re.fullmatch(r"[0-9a-f]{64}", key):
        raise ConfigError(
            f"{path} does not hold a key of 64 lower-case hex digits",
            hint="put the right key back; a new one cannot decrypt what is stored",
        )
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others", hint=f"chmod 600 {path}")
    return key
