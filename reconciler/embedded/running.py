"""The note that a running `up` leaves, by which a second shell finds its servers.

Light on purpose: every command reads it. Not here: what writes it (`reconciler.embedded.stack`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconciler.embedded import process
from reconciler.embedded.files import read_json

NOTE = "up.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running `up`: its process and where its servers are (an empty address: not its own)."""

    pid: int
    born: str
    started_at: str
    database_url: str
    n8n_url: str
    n8n_api_key: str
    public_url: str = ""  # where its daemon answers


def read_running(state: Path) -> Running | None:
    """Return the `up` that runs for *state*; None when there is none or it was killed."""
    try:
        note = Running(**(read_json(state / NOTE) or {}))
    except TypeError:
        return None
    return note if process.is_alive(note.pid, note.born) else None
