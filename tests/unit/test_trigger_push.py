"""Only a git server that has the secret makes us look, whatever else is sent."""

from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger.push import Push, is_genuine, read_push

SECRET = "a made-up push secret"
BODY = json.dumps({"ref": "refs/heads/main", "after": "0" * 40}).encode()
MARK = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest().encode()


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-hub-signature-256", b"sha256=" + MARK)],
        [(b"x-gitea-signature", MARK)],
        [(b"x-forgejo-signature", MARK)],
        [(b"x-gitlab-token", SECRET.encode())],
        [(b"x-hub-signature-256", b"sha256=" + MARK), (b"x-gitea-signature", MARK)],
    ],
    ids=["GitHub", "Gitea", "Forgejo", "GitLab", "Gitea as it is"],
)
def test_the_servers_we_know_are_heard(headers: list[tuple[bytes, bytes]]) -> None:
    assert is_genuine(headers, BODY, SECRET)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-hub-signature-256", MARK[:-1] + b"x")],
        [(b"x-hub-signature-256", b"sha256=")],
        [(b"x-hub-signature", b"sha1=" + MARK[:40])],
        [(b"x-hub-signature-256", b"sha256=" + MARK)] * 2,
        [(b"x-hub-signature-256", b"wrong"), (b"x-gitlab-token", SECRET.encode())],
        [(b"x-gitlab-token", SECRET.encode() + b" ")],
        [(b"x-gitlab-token", b"")],
        [(b"x-gitlab-token", b"\xff\xfe")],
        [(b"x-gitlab-token", SECRET.encode()), (b"x-gitlab-token", b"")],
    ],
)
def test_anybody_else_is_not(headers: list[tuple[bytes, bytes]]) -> None:
    assert not is_genuine(headers, BODY, SECRET)


def test_a_changed_body_is_refused() -> None:
    assert not is_genuine([(b"x-hub-signature-256", b"sha256=" + MARK)], BODY + b" ", SECRET)


@pytest.mark.parametrize(
    "body, expected",
    [
        (BODY, Push("main")),
        (urlencode({"payload": BODY.decode()}).encode(), Push("main")),
        (b'{"ref": "refs/heads/feature/a"}', Push("feature/a")),
        (b'{"ref": "refs/tags/v1"}', Push(None)),
        (b'{"zen": "ping"}', Push(None)),
        (b'{"ref": 7}', Push(None)),
        (b"[]", None),
        (b"", None),
        (b"[" * 100_000, None),
        (b"payload=", None),
        (b"\xff", None),
        (b"9" * 5000, None),
    ],
)
def test_a_body_is_read_or_refused(body: bytes, expected: Push | None) -> None:
    assert read_push(body) == expected


@given(
    st.binary(max_size=200),
    st.binary(max_size=80),
    st.sampled_from(["x-hub-signature-256", "x-gitlab-token"]),
)
def test_nothing_raises(body: bytes, value: bytes, name: str) -> None:
    read_push(body)
    assert not is_genuine([(name.encode(), value)], body, SECRET)
