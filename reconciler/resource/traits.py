"""How the fields of a kind behave, as data for the planner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the three-way comparison has to know about one kind."""

    immutable: frozenset[tuple[str, ...]] = frozenset()  # a change makes a successor
    closed: tuple[tuple[str, ...], ...] = ()  # prefixes where an unknown leaf is drift
    write_only: tuple[tuple[str, ...], ...] = ()  # prefixes that n8n never shows
    has_object: bool = False  # lives in n8n, too
