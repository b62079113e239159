"""What counts as a secret, and that looking for one takes no time."""

from __future__ import annotations

import time

import pytest

from reconciler.spec.secrets import find_token, hide, is_secret_name, looks_random


@pytest.mark.parametrize(
    "name",
    [
        "password", "apiKey", "api_key", "api-key", "APIKey", "clientSecret", "client_secret",
        "accessToken", "refresh_token", "botToken", "privateKey", "passphrase", "secretAccessKey",
        "value", "headerValue", "connectionString", "webhookUrl", "appPassword", "signingSecret",
        "sshPassword", "json", "secret", "token", "key", "writekey", "dsn",
    ],
)  # fmt: skip
def test_fields_that_hold_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "user", "username", "host", "port", "url", "accessTokenUrl", "authUrl", "tokenExpiredStatusCode",
        "clientId", "accessKeyId", "keyType", "scope", "region", "publicKey", "passwordless", "name",
        "headerName", "title", "monkey", "tokenType", "grantType", "environment", "",
    ],
)  # fmt: skip
def test_fields_that_hold_none(name: str) -> None:
    assert not is_secret_name(name)


# Put together here, so that no scanner takes this file for a leak.
ISSUED = [
    "AK" + "IA" + "ABCDEFGHIJKLMNOP",
    "gh" + "p_" + "a" * 36,
    "github" + "_pat_" + "a" * 40,
    "glp" + "at-" + "a" * 20,
    "xo" + "xb-" + "1234567890-abc",
    "s" + "k-" + "proj-" + "a" * 40,
    "s" + "k_live_" + "a" * 24,
    "wh" + "sec_" + "a" * 32,
    "S" + "G." + "a" * 22 + "." + "b" * 43,
    "ya" + "29." + "a" * 40,
    "AI" + "za" + "a" * 35,
    "ey" + "J" + "a" * 20 + ".ey" + "J" + "b" * 20 + "." + "c" * 20,
    "-----BEGIN RSA " + "PRIVATE KEY-----",
    "-----BEGIN " + "PRIVATE KEY-----",
    "AGE-SECRET-" + "KEY-1" + "A" * 58,
    "postgres://" + "user:" + "hunter2@db.example/x",
    "https://hooks.slack" + ".com/services/T00000/B00000/" + "a" * 24,
]


@pytest.mark.parametrize("token", ISSUED)
def test_issued_keys_are_found_wherever_they_stand(token: str) -> None:
    assert find_token(f"a: {token}\n") == 3
    assert token not in hide(f"# note {token}")


@pytest.mark.parametrize(
    "text",
    [
        "a: b", "https://acme.example/path", "postgres://db.example/x", "task-force", "risk-averse plans",
        "{env: STRIPE_API_KEY}", "https://${USER}:${PASSWORD}@db.example", "sk-short",
        "mailto:ops@acme.example", "age: |\n -----BEGIN AGE ENCRYPTED FILE-----", "AKIA", "eyJ",
    ],
)  # fmt: skip
def test_ordinary_texts_are_not_taken_for_keys(text: str) -> None:
    assert find_token(text) is None


def test_generated_texts_look_random_and_words_do_not() -> None:
    assert looks_random("a1b2c3d4e5f6g7h8i9j0k1l2m3")
    assert not looks_random("https-is-not-random-at-all-here")
    assert not looks_random("1234567890")
    assert not looks_random("Invoice intake for the finance team of 2026")


@pytest.mark.parametrize(
    "text",
    [
        "://" + "a.-+" * 250_000,
        "eyJ" * 300_000,
        "-eyJa" * 200_000,
        "://" + "a:b" * 300_000,
        "xox" + "PRIVATE KEY " * 80_000,
        "SG." * 300_000,
        "a" * 1_000_000 + "://",
        "a-" * 500_000 + "sk-",
        "x: " * 300_000,
        '"' * 500_000,
        "secretRef: {" * 80_000,
    ],
)
def test_no_text_of_a_megabyte_makes_the_search_slow(text: str) -> None:
    start = time.process_time()
    find_token(text)
    hide(text[:4000])
    assert time.process_time() - start < 10  # quadratic would be hours
