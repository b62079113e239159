"""How the fields of a kind behave, as data for the planner, which knows no kind."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.resource.payload import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the planner has to know about one kind; paths start with the side, ``row`` or ``n8n``."""

    has_object: bool = True  # whether its resources have a side in n8n
    immutable: frozenset[Path] = frozenset()  # a change means a new object in n8n
    closed: tuple[Path, ...] = ()  # prefixes under which a leaf that nobody declared is drift
    write_only: tuple[Path, ...] = ()  # prefixes that can't be read back: the record is trusted


PLAIN = Traits()
