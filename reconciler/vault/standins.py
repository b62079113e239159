"""Stand-in secrets for a development machine.

`reconciler up` must run the example without a person setting anything, and a
repository must not hold values that look like secrets. So `up` makes up random
values for the variables that specs name and nobody set, and keeps them in a
file that only its owner can read. Not here: production, where a missing
variable blocks the resource that needs it.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from reconciler.errors import ConfigError

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.+)")
_HEAD = """\
# Made up by `reconciler up` for this machine: random values for variables that the specs
# name and the environment did not set. A variable that is set wins over its line here.
"""


def read_standins(path: Path) -> dict[str, str]:
    """Read the stand-ins of this machine, none without a file; raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        message = f"can't read {path}"
        raise ConfigError(message, hint="remove the file; `reconciler up` makes it again") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            message = f"{path}:{number} is not of the form NAME=value"
            raise ConfigError(message)
        found[match.group(1)] = match.group(2)
    return found


def make_standins(path: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Make up values for those *names* that have none in the file; return these names."""
    known = read_standins(path)
    new = tuple(sorted(set(names) - set(known)))
    if not new:
        return ()
    values = known | {name: secrets.token_urlsafe(24) for name in new}
    body = _HEAD + "".join(f"{name}={value}\n" for name, value in sorted(values.items()))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return new
