"""The envelope: what is sealed opens for its owner only, and any change is noticed."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ExitCode
from reconciler.vault.envelope import (
    EnvelopeError,
    Owner,
    is_seed_form,
    key_id_of,
    seal,
    unseal,
    unseal_seed,
)

KEY = hashlib.sha256(b"a key for tests").digest()
OTHER_KEY = hashlib.sha256(b"another key for tests").digest()
OWNER = Owner("acme", "crm")

# Written by the seed's own TypeScript, run on Node 24 with KEY and a counting iv.
SEED = {
    "iv": "000102030405060708090a0b0c0d0e0f",
    "data": "ffba013511c1665f5e7b9e13d02b9e848623b3",
    "tag": "74933511e2569757c6b8e9dd6c2ae6e3",
}


@given(plain=st.binary(max_size=2000))
def test_what_is_sealed_opens_again(plain: bytes) -> None:
    sealed = seal(plain, OWNER, "k1", KEY)

    assert plain == unseal(sealed, OWNER, {"k1": KEY})
    assert key_id_of(sealed) == "k1"


def test_the_text_form_is_version_key_and_base64url_of_nonce_ciphertext_and_tag() -> None:
    version, key_id, encoded = seal(b"hello", OWNER, "k1", KEY).split(":")

    assert (version, key_id) == ("v1", "k1")
    assert len(base64.urlsafe_b64decode(encoded + "==")) == 12 + len(b"hello") + 16


def test_the_same_value_never_seals_to_the_same_text() -> None:
    texts = {seal(b"same", OWNER, "k1", KEY) for _ in range(50)}

    assert len(texts) == 50


@pytest.mark.parametrize(
    "owner", [Owner("globex", "crm"), Owner("acme", "shop"), Owner('acme","crm', "")]
)
def test_a_value_moved_to_another_row_or_organization_is_refused(owner: Owner) -> None:
    sealed = seal(b"secret", OWNER, "k1", KEY)

    with pytest.raises(EnvelopeError, match="belongs to another row"):
        unseal(sealed, owner, {"k1": KEY})


def test_a_value_relabelled_with_another_key_id_is_refused() -> None:
    sealed = seal(b"secret", OWNER, "k1", KEY).replace("v1:k1:", "v1:k2:")

    with pytest.raises(EnvelopeError):
        unseal(sealed, OWNER, {"k2": KEY})


def test_every_changed_bit_is_noticed() -> None:
    _, _, encoded = seal(b"secret", OWNER, "k1", KEY).split(":")
    body = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))

    for position in range(len(body) * 8):
        changed = bytearray(body)
        changed[position // 8] ^= 1 << position % 8
        text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
        with pytest.raises(EnvelopeError):
            unseal(f"v1:k1:{text}", OWNER, {"k1": KEY})


@pytest.mark.parametrize("cut", range(1, 17))
def test_a_cut_tag_is_refused(cut: int) -> None:
    _, _, encoded = seal(b"secret", OWNER, "k1", KEY).split(":")
    body = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))[:-cut]
    text = base64.urlsafe_b64encode(body).decode().rstrip("=")

    with pytest.raises(EnvelopeError):
        unseal(f"v1:k1:{text}", OWNER, {"k1": KEY})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1",
        "v1:k1:",
        "v1:k1:AAAA",
        "v2:k1:AAAA",
        "v1:k1:A",
        "v1:K!:AAAA",
        "plain text",
    ],
)
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(EnvelopeError):
        unseal(text, OWNER, {"k1": KEY})


def test_bits_that_base64_ignores_may_not_be_changed() -> None:
    sealed = seal(b"12", OWNER, "k1", KEY)  # 30 bytes: no spare bits
    assert unseal(sealed, OWNER, {"k1": KEY}) == b"12"
    sealed = seal(b"1", OWNER, "k1", KEY)  # 29 bytes: two spare bits in the last letter
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(sealed[-1])

    with pytest.raises(EnvelopeError, match="base64url"):
        unseal(sealed[:-1] + alphabet[last | 1], OWNER, {"k1": KEY})


def test_a_missing_key_is_named_and_the_hint_says_where_it_belongs() -> None:
    sealed = seal(b"secret", OWNER, "k1", KEY)

    with pytest.raises(EnvelopeError, match="key k1") as caught:
        unseal(sealed, OWNER, {"k2": OTHER_KEY})

    assert caught.value.exit_code is ExitCode.BAD_CONFIGURATION
    assert caught.value.hint is not None
    assert "ENCRYPTION_KEYS_OLD" in caught.value.hint


def test_what_the_seeds_own_code_wrote_is_read() -> None:
    text = json.dumps(SEED)

    assert is_seed_form(text)
    assert json.loads(unseal_seed(text, OWNER, (KEY,))) == {"token": "grüße"}


def test_the_seeds_form_is_read_with_an_earlier_key_too() -> None:
    plain = unseal_seed(json.dumps(SEED), OWNER, (OTHER_KEY, KEY))

    assert json.loads(plain) == {"token": "grüße"}


@pytest.mark.parametrize("length", [4, 8, 12, 15])
def test_a_cut_tag_in_the_seeds_form_is_refused(length: int) -> None:
    text = json.dumps(SEED | {"tag": SEED["tag"][: 2 * length]})

    with pytest.raises(EnvelopeError, match="16 bytes"):
        unseal_seed(text, OWNER, (KEY,))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[]",
        json.dumps(SEED | {"more": "x"}),
        json.dumps(SEED | {"iv": "zz"}),
        json.dumps(SEED | {"iv": 12}),
        json.dumps(SEED | {"iv": "00" * 12}),
        json.dumps(SEED | {"data": "ffba"}),
        '{"iv":' * 100_000,
    ],
)
def test_a_damaged_value_in_the_seeds_form_is_refused(text: str) -> None:
    with pytest.raises(EnvelopeError):
        unseal_seed(text, OWNER, (KEY,))
