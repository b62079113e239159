"""The revisions of the database schema that this code knows, oldest first.

Kept apart from the migrations so that a command can compare without loading
Alembic; a test holds the two together.
"""

from __future__ import annotations

KNOWN = ("0001", "0002", "0003", "0004")
HEAD = KNOWN[-1]
