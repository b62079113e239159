"""Reads the push webhooks of git servers: who may send them, and which branch they are about.

A push only says "look now"; nothing in it is believed. Not here: HTTP, nor looking.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

_HEX: Final = re.compile(rb"(?:sha256=)?([0-9a-f]{64})")
_SIGNED: Final = (b"x-hub-signature-256", b"x-forgejo-signature", b"x-gitea-signature")
_SHARED: Final = b"x-gitlab-token"
_HEADS: Final = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Push:
    """What a push is about; *branch* None: no branch, as in GitHub's ping or for a tag."""

    branch: str | None


def is_genuine(headers: Sequence[tuple[bytes, bytes]], body: bytes, secret: str) -> bool:
    """Whether GitHub, Gitea, Forgejo or GitLab sent this with *secret*; names in lower case."""
    key = secret.encode()
    for name in _SIGNED:
        found = [value for header, value in headers if header == name]
        if found:
            match = _HEX.fullmatch(found[0]) if len(found) == 1 else None
            expected = hmac.new(key, body, hashlib.sha256).hexdigest().encode()
            return match is not None and hmac.compare_digest(match[1], expected)
    found = [value for header, value in headers if header == _SHARED]
    return len(found) == 1 and hmac.compare_digest(found[0], key)


def read_push(body: bytes) -> Push | None:
    """Read the body, JSON or a form that holds JSON; None: it is neither."""
    try:
        text = body.decode()
        if text.startswith("payload="):
            text = parse_qs(text, strict_parsing=True, max_num_fields=10)["payload"][0]
        data = json.loads(text)
    except (ValueError, KeyError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    reference = data.get("ref")
    if isinstance(reference, str) and reference.startswith(_HEADS):
        return Push(reference.removeprefix(_HEADS))
    return Push(None)
