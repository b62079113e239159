"""API tokens as text: ``rec_<kind>_<id>_<secret>_<check>``, made once and stored as SHA-256.

The check digits let a wrong paste fail without asking the database; the secret is 256 random bits,
so a fast hash is enough. Not here: the table (`reconciler.store.tokens`), what a token may do.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from dataclasses import dataclass
from typing import Final

from reconciler.vault.secret import Secret

SECRET_BYTES: Final = 32
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_DIGITS: Final = 43  # of base 62, for 32 bytes
_CHECK_DIGITS: Final = 6  # for 4 bytes
_FORM: Final = re.compile(
    rf"rec_(?P<kind>[a-z]{{2,8}})_(?P<id>[a-z0-9]{{2,40}})_"
    rf"(?P<secret>[0-9A-Za-z]{{{_SECRET_DIGITS}}})_(?P<check>[0-9A-Za-z]{{{_CHECK_DIGITS}}})"
)


class BadToken(ValueError):
    """The text is not a token of ours; the message does not repeat it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentedToken:
    """A token that somebody presents: well formed, and nothing more."""

    kind: str
    id: str
    digest: bytes

    def proves(self, stored: bytes) -> bool:
        """Whether it is the token whose digest is *stored*; takes the same time for any."""
        return hmac.compare_digest(self.digest, stored)


def mint(kind: str, id_: str, random: bytes) -> tuple[Secret, bytes]:
    """Make a token from 32 *random* bytes; gives its text, to be shown once, and its digest."""
    if len(random) != SECRET_BYTES:
        message = f"a token takes {SECRET_BYTES} random bytes"
        raise ValueError(message)
    body = f"rec_{kind}_{id_}_{_base62(int.from_bytes(random), _SECRET_DIGITS)}"
    text = f"{body}_{_check(body)}"
    if _FORM.fullmatch(text) is None:
        message = f"{kind!r} and {id_!r} don't fit into a token"
        raise ValueError(message)
    return Secret(text), _digest(text)


def present(text: str) -> PresentedToken:
    """Read a token; raises BadToken for any other text."""
    match = _FORM.fullmatch(text) if len(text) <= 200 else None
    if match is None:
        message = "this does not look like a token of ours"
        raise BadToken(message)
    if not hmac.compare_digest(_check(text.rpartition("_")[0]), match["check"]):
        message = "the check digits don't fit: it was not copied as a whole"
        raise BadToken(message)
    return PresentedToken(kind=match["kind"], id=match["id"], digest=_digest(text))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("ascii")).digest()


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECK_DIGITS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
