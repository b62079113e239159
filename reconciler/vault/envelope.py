"""The text form of an encrypted value, version 1, and the seed's own older form.

``v1:<key id>:<base64url of nonce, ciphertext, tag>``: AES-256-GCM with a random
12-byte nonce and the full 16-byte tag. The additional data bind organization,
credential, key and version, so a value that was moved to another row does not
decrypt. The seed's ``{"iv","data","tag"}`` has no such binding: it is read, and
written in version 1 the next time. Not here: where keys come from.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reconciler.errors import ConfigError

VERSION = "v1"
_NONCE = 12  # bytes: the size SP 800-38D recommends for random nonces
_TAG = 16  # bytes: never less, a short tag can be guessed
_SEED_IV = 16  # bytes: what the seed's own code writes
_FORM = re.compile(r"v1:([0-9a-z-]{1,64}):([A-Za-z0-9_-]+)")
_HINT = "restore the row, or apply again with the secret set so that it is written anew"


class EnvelopeError(ConfigError):
    """A stored value can't be decrypted: damaged, moved from elsewhere, or its key is not there."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose value it is: the additional data of the encryption, ids rather than names."""

    organization: str
    credential: str

    def bound(self, key_id: str) -> bytes:
        """Give the additional data; a JSON list keeps the parts apart whatever they contain."""
        parts = [self.organization, self.credential, key_id, VERSION]
        return json.dumps(parts, separators=(",", ":")).encode()


def seal(plain: bytes, owner: Owner, key_id: str, key: bytes) -> str:
    """Encrypt *plain* with the 32-byte *key* under a fresh nonce."""
    nonce = os.urandom(_NONCE)
    body = nonce + AESGCM(key).encrypt(nonce, plain, owner.bound(key_id))
    return f"{VERSION}:{key_id}:{base64.urlsafe_b64encode(body).decode().rstrip('=')}"


def unseal(text: str, owner: Owner, keys: Mapping[str, bytes]) -> bytes:
    """Decrypt what `seal` wrote with the key it names; raises EnvelopeError, never the value."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise _damaged(owner, "it is not in the form v1:<key id>:<base64url>")
    key_id, encoded = form.groups()
    if key_id not in keys:
        message = f"{_subject(owner)} was encrypted with key {key_id}, which is not there"
        raise EnvelopeError(message, hint="add the earlier key to ENCRYPTION_KEYS_OLD")
    body = _decode(encoded, owner)
    if len(body) < _NONCE + _TAG:
        raise _damaged(owner, "it is too short")
    try:
        return AESGCM(keys[key_id]).decrypt(body[:_NONCE], body[_NONCE:], owner.bound(key_id))
    except InvalidTag:
        raise _damaged(owner, "it was changed, or belongs to another row") from None


def key_id_of(text: str) -> str | None:
    """Tell which key encrypted *text*; None for the seed's form and for anything else."""
    form = _FORM.fullmatch(text)
    return form.group(1) if form else None


def is_seed_form(text: str) -> bool:
    """Whether *text* looks like what the seed's own code writes."""
    return text.lstrip().startswith("{")


def unseal_seed(text: str, owner: Owner, keys: tuple[bytes, ...]) -> bytes:
    """Decrypt the seed's own form with the first of *keys* that fits; raises EnvelopeError."""
    nonce, body, tag = _seed_parts(text, owner)
    for key in keys:
        try:
            return AESGCM(key).decrypt(nonce, body + tag, None)
        except InvalidTag:
            continue
    raise _damaged(owner, "no configured key fits, or it was changed")


def _seed_parts(text: str, owner: Owner) -> tuple[bytes, bytes, bytes]:
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or set(data) != {"iv", "data", "tag"}:
            raise _damaged(owner, "it does not have exactly iv, data and tag")
        nonce, body, tag = (binascii.unhexlify(data[name]) for name in ("iv", "data", "tag"))
    except (ValueError, TypeError, RecursionError):
        raise _damaged(owner, "iv, data and tag are not hex") from None
    # Python's AESGCM would take other nonces; what the seed never writes is not its value.
    if len(nonce) != _SEED_IV or len(tag) != _TAG:
        raise _damaged(owner, "its iv or tag does not have 16 bytes")
    return nonce, body, tag


def _decode(encoded: str, owner: Owner) -> bytes:
    try:
        body = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        raise _damaged(owner, "it is not base64url") from None
    # One value has one text: bits that decoding ignores may not be changed unnoticed.
    if base64.urlsafe_b64encode(body).decode().rstrip("=") != encoded:
        raise _damaged(owner, "it is not base64url")
    return body


def _subject(owner: Owner) -> str:
    return f"the stored secret of {owner.credential} in {owner.organization}"


def _damaged(owner: Owner, why: str) -> EnvelopeError:
    return EnvelopeError(f"{_subject(owner)} can't be decrypted: {why}", hint=_HINT)
