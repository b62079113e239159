"""Checks that a webhook call comes from somebody who has the secret, and signs calls for tests.

Everything a caller sends is bytes, of any length; whatever it is, the answer is a `Verdict`.
Not here: which secrets a trigger has (`reconciler.web.secrets`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

TOLERANCE: Final = 300  # seconds that a timestamp may differ from ours, both ways
DEFAULT_HEADER: Final = "X-Webhook-Signature"  # of hmac-sha256
MAX_SIGNATURES: Final = 8  # that one call may carry during the sender's rotation
_STAMP: Final = re.compile(rb"[0-9]{1,12}")
_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,128}")  # no dot: it parts what is signed
_LOOSE_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_HEX: Final = re.compile(rb"(?:sha256=)?([0-9A-Fa-f]{64})")
_ID_HEADERS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "standard-webhooks": (b"webhook-id", b"svix-id"),
    "github": (b"x-github-delivery",),
    "hmac-sha256": (b"webhook-id", b"idempotency-key"),
    "bearer": (b"webhook-id", b"idempotency-key"),
    "none": (b"webhook-id", b"idempotency-key"),
}

_PROOFS: Final = frozenset(
    {b"x-hub-signature-256", b"x-hub-signature", b"webhook-signature", b"svix-signature"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A secret and the moment from which on it is refused (None: never)."""

    value: str
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """How a trigger's callers prove who they are."""

    scheme: str  # of `reconciler.kinds.trigger.Scheme`
    header: str | None = None
    secrets: tuple[Live, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is looked at: header names in lower case, the body as it came."""

    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def one(self, *names: bytes) -> bytes | None:
        """Give the value of the first of *names* that is there; None also when it is there twice."""
        for name in names:
            found = None
            for key, value in self.headers:
                if key == name:
                    if found is not None:
                        return None
                    found = value
            if found is not None:
                return found
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Let in when *problem* is None; *id* is the sender's name for the call, if it gave one."""

    problem: str | None = None  # a word for the log; callers learn only 401 or 400
    malformed: bool = False
    id: str | None = None
    secret: int | None = None  # which of the secrets fitted


def verify(auth: Auth, call: Call, now: datetime) -> Verdict:
    """Check *call* at the time *now*."""
    given = call.one(*_ID_HEADERS[auth.scheme])
    strict = auth.scheme == "standard-webhooks"
    if given is not None and not (_ID if strict else _LOOSE_ID).fullmatch(given):
        return Verdict(problem="bad-id", malformed=True)
    id_ = None if given is None else given.decode("ascii")
    if auth.scheme == "none":
        return Verdict(id=id_)
    if strict:
        problem = _standard_problem(call, given, now)
        if problem is not None:
            return Verdict(problem=problem)
    found = _signatures(auth, call)
    if not found:
        return Verdict(problem="no-signature")
    for number, secret in enumerate(auth.secrets):
        expected = _expected(auth.scheme, secret.value, call)
        if expected is not None and _any_equal(found, expected):
            if secret.not_after is not None and now >= secret.not_after:
                return Verdict(problem="expired-secret", secret=number)
            return Verdict(id=id_, secret=number)
    return Verdict(problem="bad-signature")


def sign(auth: Auth, body: bytes, *, id_: str, now: datetime) -> dict[str, str]:
    """Give the headers that let *body* in, signed with the first secret; for one's own tests.

    Raises ValueError when the secret can't be used with the scheme.
    """
    headers: dict[str, str] = {}
    match auth.scheme:
        case "standard-webhooks":
            headers = {"webhook-id": id_, "webhook-timestamp": str(int(now.timestamp()))}
        case "github":
            headers = {"X-GitHub-Delivery": id_, "X-GitHub-Event": "push"}
        case _:
            headers = {"webhook-id": id_}
    if auth.scheme == "none":
        return headers
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    secret = auth.secrets[0].value
    expected = _expected(auth.scheme, secret, Call(headers=raw, body=body))
    if expected is None:
        message = "the secret is empty, or begins with whsec_ and goes on with what is not base64"
        raise ValueError(message)
    match auth.scheme:
        case "standard-webhooks":
            headers["webhook-signature"] = "v1," + base64.b64encode(expected).decode()
        case "github":
            headers["X-Hub-Signature-256"] = "sha256=" + expected.hex()
        case "hmac-sha256":
            headers[auth.header or DEFAULT_HEADER] = expected.hex()
        case _:
            headers["Authorization"] = f"Bearer {secret}"
    return headers


def secret_headers(header: str | None) -> frozenset[bytes]:
    """Name the headers that prove something, *header* among them: they are not passed on."""
    own = (header or DEFAULT_HEADER).lower().encode()
    return _PROOFS | {own}


def _standard_problem(call: Call, id_: bytes | None, now: datetime) -> str | None:
    if id_ is None:
        return "no-id"
    stamp = call.one(b"webhook-timestamp", b"svix-timestamp")
    if stamp is None or not _STAMP.fullmatch(stamp):
        return "bad-timestamp"
    away = abs(now.timestamp() - int(stamp))
    return "stale" if away > TOLERANCE else None


def _signatures(auth: Auth, call: Call) -> list[bytes]:
    """Read what the caller offers as proof, as raw digests."""
    match auth.scheme:
        case "standard-webhooks":
            offered = call.one(b"webhook-signature", b"svix-signature") or b""
            found = [_base64(part) for part in offered.split(b" ", MAX_SIGNATURES)[:MAX_SIGNATURES]]
            return [digest for digest in found if digest is not None]
        case "github":
            offered = call.one(b"x-hub-signature-256") or b""
        case "hmac-sha256":
            offered = call.one((auth.header or DEFAULT_HEADER).lower().encode()) or b""
        case _:
            offered = call.one(b"authorization") or b""
            word, _, token = offered.partition(b" ")
            return [_digest(token.strip())] if word.lower() == b"bearer" and token.strip() else []
    form = _HEX.fullmatch(offered)
    return [bytes.fromhex(form.group(1).decode())] if form else []


def _base64(part: bytes) -> bytes | None:
    if not part.startswith(b"v1,") or len(part) > 64:
        return None
    try:
        return base64.b64decode(part[3:], validate=True)
    except binascii.Error:
        return None


def _expected(scheme: str, secret: str, call: Call) -> bytes | None:
    """Compute the right digest; None when the secret can't be used: an empty one is no secret."""
    if not secret:
        return None
    if scheme == "bearer":
        return _digest(secret.encode())
    key = secret.encode()
    if scheme != "standard-webhooks":
        return hmac.digest(key, call.body, "sha256")
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            return None
        if not key:
            return None
    id_ = call.one(b"webhook-id", b"svix-id") or b""
    stamp = call.one(b"webhook-timestamp", b"svix-timestamp") or b""
    return hmac.digest(key, b".".join((id_, stamp, call.body)), "sha256")


def _digest(token: bytes) -> bytes:
    """Bring tokens of any length to one length, so that comparing them tells nothing."""
    return hashlib.sha256(token).digest()


def _any_equal(found: Sequence[bytes], expected: bytes) -> bool:
    equal = False
    for digest in found:
        equal |= hmac.compare_digest(digest, expected)
    return equal
