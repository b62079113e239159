"""Who may call: every scheme, and everything that an attacker may put into its headers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger.signature import Auth, Call, Live, secret_headers, sign, verify

NOW = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
BODY = b'{"amount": 12}'
KEY = b"0123456789abcdef0123456789abcdef"
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
SCHEMES = ("standard-webhooks", "github", "hmac-sha256", "bearer", "none")


def auth(scheme: str, *secrets: str, header: str | None = None) -> Auth:
    return Auth(scheme=scheme, header=header, secrets=tuple(Live(value=s) for s in secrets))


def call(headers: dict[str, str | bytes], body: bytes = BODY) -> Call:
    pairs = [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in headers.items()
    ]
    return Call(headers=pairs, body=body)


def standard(**changed: str | bytes) -> Call:
    headers: dict[str, str | bytes] = dict(
        sign(auth("standard-webhooks", WHSEC), BODY, id_="msg_1", now=NOW)
    )
    return call({**headers, **{name.replace("_", "-"): value for name, value in changed.items()}})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_we_sign_is_let_in(scheme: str) -> None:
    mine = auth(scheme, *(() if scheme == "none" else (WHSEC,)))
    headers = sign(mine, BODY, id_="call-1", now=NOW)
    verdict = verify(mine, call(dict(headers)), NOW)
    assert (verdict.problem, verdict.id) == (None, "call-1")


@pytest.mark.parametrize("scheme", SCHEMES[:-1])
def test_another_secret_is_refused(scheme: str) -> None:
    headers = sign(auth(scheme, "mine"), BODY, id_="call-1", now=NOW)
    verdict = verify(auth(scheme, "theirs"), call(dict(headers)), NOW)
    assert verdict.problem == "bad-signature"


@pytest.mark.parametrize("scheme", ["standard-webhooks", "github", "hmac-sha256"])
def test_a_body_that_was_changed_is_refused(scheme: str) -> None:
    headers = sign(auth(scheme, "mine"), BODY, id_="call-1", now=NOW)
    verdict = verify(auth(scheme, "mine"), call(dict(headers), BODY + b" "), NOW)
    assert verdict.problem == "bad-signature"


def test_the_signature_of_standard_webhooks_is_that_of_the_standard() -> None:
    stamp = str(int(NOW.timestamp())).encode()
    expected = hmac.new(KEY, b"msg_1." + stamp + b"." + BODY, hashlib.sha256).digest()
    headers = sign(auth("standard-webhooks", WHSEC), BODY, id_="msg_1", now=NOW)
    assert "v1," + base64.b64encode(expected).decode() == headers["webhook-signature"]


def test_the_seeds_signature_is_the_hex_hmac_of_the_body() -> None:
    expected = hmac.new(b"secret", BODY, hashlib.sha256).hexdigest()
    given_ = call({"X-Signature": expected})
    assert verify(auth("hmac-sha256", "secret", header="X-Signature"), given_, NOW).problem is None


@pytest.mark.parametrize("seconds", [301, 3600, 10**9, -301, -3600])
def test_a_call_out_of_time_is_refused(seconds: int) -> None:
    verdict = verify(auth("standard-webhooks", WHSEC), standard(), NOW + timedelta(seconds=seconds))
    assert verdict.problem == "stale"


@pytest.mark.parametrize("seconds", [0, 299, -299])
def test_a_call_in_time_is_let_in(seconds: int) -> None:
    verdict = verify(auth("standard-webhooks", WHSEC), standard(), NOW + timedelta(seconds=seconds))
    assert verdict.problem is None


@pytest.mark.parametrize(
    "stamp", ["", "nan", "-1", "1.9", "1e9", "9" * 400, "0x10", " 1", "１２", b"\xff\xfe", "inf"]
)
def test_a_timestamp_that_is_no_plain_number_is_refused(stamp: str | bytes) -> None:
    raw = stamp if isinstance(stamp, bytes) else stamp.encode()
    verdict = verify(auth("standard-webhooks", WHSEC), standard(webhook_timestamp=raw), NOW)
    assert verdict.problem == "bad-timestamp"


@pytest.mark.parametrize(
    "signature",
    [
        b"", b",", b"v1", b"v1,", b"v1,%%%", b"v1,\xff\xff", b"v1a,abc", b"v2,abc", b"v1,YQ==",
        b"v1," + b"A" * 100_000, b"v1,YQ== " * 50_000, b" " * 100_000, b"sha256=ab", b"v1,YQ==,",
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", SCHEMES[:-1])
def test_a_hostile_signature_is_refused_at_once(scheme: str, signature: bytes) -> None:
    names = ("webhook-signature", "x-hub-signature-256", "x-webhook-signature", "authorization")
    headers: dict[str, str | bytes] = dict.fromkeys(names, signature)
    headers |= {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW.timestamp()))}
    took = []
    for _ in range(3):
        began = time.process_time()
        verdict = verify(auth(scheme, WHSEC), call(headers), NOW)
        took.append(time.process_time() - began)
        assert verdict.problem in {"no-signature", "bad-signature"}
    assert min(took) < 0.02


def test_only_so_many_signatures_are_looked_at() -> None:
    good = dict(standard().headers)[b"webhook-signature"]
    at_the_end = b"v1,YQ== " * 8 + good
    in_reach = b"v1,YQ== " * 7 + good
    mine = auth("standard-webhooks", WHSEC)
    assert verify(mine, standard(webhook_signature=at_the_end), NOW).problem == "bad-signature"
    assert verify(mine, standard(webhook_signature=in_reach), NOW).problem is None


def test_a_header_that_is_there_twice_proves_nothing() -> None:
    good = standard()
    twice = Call(headers=[*good.headers, (b"webhook-signature", b"v1,YQ==")], body=BODY)
    assert verify(auth("standard-webhooks", WHSEC), twice, NOW).problem == "no-signature"


def test_both_secrets_let_in_during_a_rotation_and_the_old_one_only_until_its_end() -> None:
    old, new = "old-secret", "new-secret"
    end = NOW + timedelta(hours=1)
    both = Auth(scheme="github", secrets=(Live(value=new), Live(value=old, not_after=end)))
    with_old = call(dict(sign(auth("github", old), BODY, id_="1", now=NOW)))
    with_new = call(dict(sign(auth("github", new), BODY, id_="1", now=NOW)))
    assert [0, 1] == [verify(both, one, NOW).secret for one in (with_new, with_old)]
    assert verify(both, with_old, end).problem == "expired-secret"
    assert verify(both, with_new, end).problem is None


@pytest.mark.parametrize("id_", ["a.b", "a b", "a" * 129, "a/b", "", b"\xff", "ä"])
def test_an_id_that_could_move_the_border_of_what_is_signed_is_malformed(id_: str | bytes) -> None:
    raw = id_ if isinstance(id_, bytes) else id_.encode()
    verdict = verify(auth("standard-webhooks", WHSEC), standard(webhook_id=raw), NOW)
    assert (True, "bad-id") == (verdict.malformed, verdict.problem)


def test_without_an_id_there_is_no_standard_webhook() -> None:
    headers = [pair for pair in standard().headers if pair[0] != b"webhook-id"]
    verdict = verify(auth("standard-webhooks", WHSEC), Call(headers=headers, body=BODY), NOW)
    assert verdict.problem == "no-id"


def test_a_secret_that_is_no_base64_lets_nobody_in_and_can_not_sign() -> None:
    broken = auth("standard-webhooks", "whsec_%%%")
    assert verify(broken, standard(), NOW).problem == "bad-signature"
    with pytest.raises(ValueError, match="base64"):
        sign(broken, BODY, id_="1", now=NOW)


@pytest.mark.parametrize("token", ["Bearer", "Bearer ", "Basic mine", "mine", "Bearer mine mine"])
def test_a_bearer_token_is_compared_as_a_whole(token: str) -> None:
    verdict = verify(auth("bearer", "mine"), call({"Authorization": token}), NOW)
    assert verdict.problem is not None


def test_without_secrets_nobody_is_let_in() -> None:
    for scheme in SCHEMES[:-1]:
        headers = sign(auth(scheme, "mine"), BODY, id_="1", now=NOW)
        assert verify(auth(scheme), call(dict(headers)), NOW).problem is not None


@pytest.mark.parametrize("scheme", SCHEMES[:-1])
@pytest.mark.parametrize("secret", ["", "whsec_"])
def test_an_empty_secret_lets_nobody_in(scheme: str, secret: str) -> None:
    stamp = str(int(NOW.timestamp()))
    nothing = hmac.new(b"", b"1." + stamp.encode() + b"." + BODY, hashlib.sha256).digest()
    seeds = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    forged = call(
        {
            "webhook-id": "1",
            "webhook-timestamp": stamp,
            "webhook-signature": "v1," + base64.b64encode(nothing).decode(),
            "x-hub-signature-256": "sha256=" + seeds,
            "x-webhook-signature": seeds,
            "authorization": "Bearer ",
        }
    )
    assert verify(auth(scheme, secret), forged, NOW).problem is not None


def test_what_proves_something_is_not_passed_on() -> None:
    assert {b"x-own", b"x-hub-signature-256", b"webhook-signature"} <= secret_headers("X-Own")


@given(
    scheme=st.sampled_from(SCHEMES[:-1]),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"authorization",
                    b"x-hub-signature-256", b"x-webhook-signature", b"x-github-delivery",
                ]
            ),
            st.binary(max_size=80),
        ),
        max_size=8,
    ),
    body=st.binary(max_size=50),
)  # fmt: skip
def test_nothing_gets_in_without_the_secret_and_nothing_breaks(
    scheme: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    verdict = verify(auth(scheme, WHSEC), Call(headers=headers, body=body), NOW)
    assert verdict.problem is not None
