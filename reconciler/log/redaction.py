"""The one place where secrets are taken out of text on its way out: logs, answers, errors.

A secret is known by its name (`password`), by its form (a token, a key, a URL with a password)
or because it was registered when it was read. Not here: where text is written.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

HIDDEN: Final = "***"
SHORTEST: Final = 6  # characters; to hide "1" wherever it stands would hide everything
_DEEPEST: Final = 8
_NAMES: Final = re.compile(
    r"passw(or)?d|secret|authorization|api[-_]?key|encryption[-_]?keys?|private[-_]?key"
    r"|(access|refresh|id|bearer|session|auth)?[-_]?token$|cookie|signature",
    re.IGNORECASE,
)
_FORMS: Final = re.compile(
    r"""
      \brec_[a-z]+_[A-Za-z0-9]+_[A-Za-z0-9_-]+                  # tokens of ours
    | \bwhsec_[A-Za-z0-9+/=_-]+                                 # Standard Webhooks
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,}
    | \bsk-[A-Za-z0-9_-]{16,} | \bsk_(?:live|test)_\w{8,} | \bxox[abeoprs]-[\w-]{8,}
    | \beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?                    # a JSON Web Token
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_CONTEXT: Final = re.compile(
    r"""
      (?P<url>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s@/]+(?=@)    # a URL's password
    | (?P<scheme>\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{6,}
    | (?P<pair>\b(?:password|passwd|secret|api[-_]?key|token)\s*[=:]\s*)[^\s,;&"']{3,}
    """,
    re.VERBOSE | re.IGNORECASE,
)


def _kept(match: re.Match[str]) -> str:
    return f"{match.group('url') or match.group('scheme') or match.group('pair')}{HIDDEN}"


class Redactor:
    """Knows the live secrets of this process and takes them, and what looks like one, out."""

    def __init__(self) -> None:
        self._fresh: set[str] = set()
        self._known: set[str] = set()
        # The first characters of secrets -> their lengths, longest first; then a look into a set.
        # Looking through a text takes as long for ten thousand secrets as for one.
        self._heads: dict[str, list[int]] = {}
        self._spellings: set[str] = set()

    def register(self, secrets: Iterable[str]) -> None:
        """Remember *secrets*; those of fewer than 6 characters can't be told from text."""
        self._fresh.update(secret for secret in secrets if secret not in self._known)

    def text(self, text: str) -> str:
        """Give *text* without secrets."""
        if self._fresh:
            self._learn()
        if self._heads:
            text = self._without_known(text)
        return _IN_CONTEXT.sub(_kept, _FORMS.sub(HIDDEN, text))

    def _learn(self) -> None:
        while self._fresh:
            secret = self._fresh.pop()
            self._known.add(secret)
            for spelling in _spellings(secret):
                self._spellings.add(spelling)
                lengths = self._heads.setdefault(spelling[:SHORTEST], [])
                if len(spelling) not in lengths:
                    lengths.append(len(spelling))
                    lengths.sort(reverse=True)

    def _without_known(self, text: str) -> str:
        parts: list[str] = []
        kept = at = 0
        while at <= len(text) - SHORTEST:
            for length in self._heads.get(text[at : at + SHORTEST], ()):
                if text[at : at + length] in self._spellings:
                    parts += (text[kept:at], HIDDEN)
                    at += length
                    kept = at
                    break
            else:
                at += 1
        return "".join((*parts, text[kept:])) if parts else text

    def value(self, value: Any, *, depth: int = 0) -> Any:
        """Give *value*, made of plain data, without secrets; other objects become text."""
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(value)
            case bytes() | bytearray() | memoryview():
                return f"{len(value)} bytes"
            case _ if depth >= _DEEPEST:
                return "..."
            case Mapping():
                return {self.text(str(k)): self.field(str(k), v, depth) for k, v in value.items()}
            case Sequence() | set() | frozenset():
                return [self.value(item, depth=depth + 1) for item in value]
            case _:
                return self.text(str(value))

    def field(self, name: str, value: Any, depth: int = 0) -> Any:
        """Give the value of the field *name* without secrets."""
        if value is not None and not isinstance(value, bool) and _NAMES.search(name):
            return HIDDEN
        return self.value(value, depth=depth + 1)


def _spellings(secret: str) -> set[str]:
    """Give the forms in which *secret* may stand in text."""
    plain = secret.strip()
    if len(plain) < SHORTEST:
        return set()
    raw = plain.encode("utf-8", "surrogatepass")
    coded = base64.b64encode(raw).decode()
    forms = {plain, quote(plain, safe=""), json.dumps(plain)[1:-1], repr(plain)[1:-1], coded}
    return forms | {coded.rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}


REDACTOR: Final = Redactor()
