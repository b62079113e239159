"""The text form of API tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.vault.tokens import SECRET_BYTES, BadToken, mint, present

RANDOM = bytes(range(SECRET_BYTES))
TEXT = mint("api", "tz4a98xxat96iws9zmbrgj3a", RANDOM)[0].reveal()


def test_a_token_names_its_kind_and_id_and_proves_itself() -> None:
    secret, digest = mint("api", "abc123", RANDOM)

    presented = present(secret.reveal())

    assert ("api", "abc123") == (presented.kind, presented.id)
    assert presented.proves(digest)
    assert not presented.proves(mint("api", "abc123", bytes(SECRET_BYTES))[1])
    assert secret.reveal() not in repr((secret, presented, digest))


@given(random=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES))
def test_every_secret_has_the_same_form_and_different_ones_differ(random: bytes) -> None:
    secret, digest = mint("api", "x1", random)
    assert len(secret.reveal()) == len("rec_api_x1_") + 43 + 1 + 6
    assert present(secret.reveal()).proves(digest)
    assert (random == RANDOM) is (digest == mint("api", "x1", RANDOM)[1])


@given(at=st.integers(0, len(TEXT) - 1), sign=st.sampled_from("aA0_é\0 "))
def test_one_wrong_sign_is_noticed_without_a_database(at: int, sign: str) -> None:
    wrong = TEXT[:at] + sign + TEXT[at + 1 :]
    if wrong != TEXT:
        with pytest.raises(BadToken):
            present(wrong)


@given(st.text() | st.text(alphabet="rec_api0aA", max_size=300))
def test_any_other_text_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(BadToken) as caught:
        present(text)
    assert len(text) < 8 or text not in str(caught.value)


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "\n", " " + TEXT, TEXT.upper(), TEXT * 2])
def test_a_token_is_copied_as_a_whole(text: str) -> None:
    with pytest.raises(BadToken):
        present(text)


def test_a_token_takes_random_bytes_and_a_plain_id() -> None:
    for kind, id_, random in (("api", "x1", b"short"), ("api", "x_1", RANDOM), ("", "x1", RANDOM)):
        with pytest.raises(ValueError, match=r"token"):
            mint(kind, id_, random)
