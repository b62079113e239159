"""Secrets that stand in a file in plain text: recognising them, and hiding them.

Two tests: what a field is called, and what a text looks like. Both err on the
side of refusing, because a secret that has been committed once is known. Not
here: reading secrets from where they belong (`reconciler.vault`).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

HIDDEN: Final = "[hidden]"

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HARMLESS_LAST: Final = frozenset(
    {"id", "url", "uri", "type", "name", "scope", "scopes", "code", "endpoint", "sid", "header"}
)
_SECRET_WORDS: Final = frozenset(
    {"password", "passwd", "pwd", "passphrase", "secret", "secrets", "token", "credentials"}
)
_SECRET_LAST: Final = frozenset({"key", "apikey", "authkey", "writekey", "value", "dsn", "json"})
_SECRET_NAMES: Final = frozenset({"connectionstring", "webhookurl", "webhookuri", "headers"})
# Forms of issued keys. Each begins with what its issuer puts there on purpose, so
# that scanners find it; ordinary words do not begin like this. Repetitions have
# upper bounds, so that no text makes the search slow.
_TOKEN: Final = re.compile(
    r"""
    -----BEGIN\ (?:[A-Z]+\ )*PRIVATE\ KEY
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \bgh[pousr]_[A-Za-z0-9]{30,}
    | \bgithub_pat_[A-Za-z0-9_]{30,}
    | \bglpat-[A-Za-z0-9_-]{20,}
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,}
    | \bsk-[A-Za-z0-9_-]{20,}
    | \b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}
    | \bwhsec_[A-Za-z0-9+/=]{24,}
    | \bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,}
    | \bya29\.[A-Za-z0-9_-]{20,}
    | \bAIza[A-Za-z0-9_-]{35}
    | \bEAA[A-Za-z0-9]{60,}
    | \bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}
    | \bnpm_[A-Za-z0-9]{36}
    | \bAGE-SECRET-KEY-1[A-Z0-9]{50,}
    | \beyJ[A-Za-z0-9_-]{10,400}\.eyJ[A-Za-z0-9_-]{10,400}
    | \bhttps://hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{16,}
    | \b[a-z][a-z0-9+.-]{0,15}://[^\s/:@'"]{1,100}:[^\s/@'"${}]{3,200}@
    """,
    re.VERBOSE,
)
# A reference that does not look like one may hold the secret itself.
_ODD_REFERENCE: Final = re.compile(
    r"""(secretRef["']?\s{0,9}:\s{0,9}\{)"""
    r"""(?!\s{0,9}["']?(?:env|file)["']?\s{0,9}:\s{0,9}["']?[\w./-]{1,200}["']?\s{0,9}\})[^}]+"""
)
# Each form contains one of these: looking for them first spares the expression above.
_LITERALS: Final = (
    *("PRIVATE KEY", "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("glpat-", "xox", "sk-", "sk_", "rk_", "whsec_", "SG.", "ya29.", "AIza", "EAA", "shp"),
    *("npm_", "AGE-SECRET", "eyJ", "hooks.slack", "://"),
)
_KEY: Final = re.compile(
    r"""(["']?)(?<![A-Za-z0-9_-])([A-Za-z][A-Za-z0-9_-]{0,63})\1\s{0,9}:\s+(?=[^\s{\[])"""
)


def is_secret_name(name: str) -> bool:
    """Whether a field called *name* usually holds a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words:
        return False
    if "".join(words) in _SECRET_NAMES:
        return True
    if words[-1] in _HARMLESS_LAST or "public" in words:
        return False
    return words[-1] in _SECRET_LAST or not _SECRET_WORDS.isdisjoint(words)


def find_token(text: str, start: int = 0) -> int | None:
    """Find the first place at or after *start* where *text* holds an issued key."""
    if not any(literal in text for literal in _LITERALS):
        return None
    match = _TOKEN.search(text, start)
    return match.start() if match else None


def looks_random(text: str) -> bool:
    """Whether *text* looks generated: long, one word, letters and digits well mixed."""
    if len(text) < 24 or re.fullmatch(r"[A-Za-z0-9+/=_.~-]+", text) is None:
        return False
    changes = sum(a.isdigit() != b.isdigit() for a, b in pairwise(text))
    return changes >= len(text) // 6 and len(set(text)) >= 10


def hide(line: str) -> str:
    """Return one *line* of a file fit to be shown: values of secret fields and keys are gone."""
    if any(literal in line for literal in _LITERALS):
        line = _TOKEN.sub(HIDDEN, line)
    if "secretRef" in line:
        line = _ODD_REFERENCE.sub(rf"\1{HIDDEN}", line)
    for match in _KEY.finditer(line):
        if is_secret_name(match[2]):
            return line[: match.end()] + HIDDEN  # all that follows: where a value ends is unsure
    return line
