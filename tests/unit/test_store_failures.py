"""What PostgreSQL's errors become: values that it can't take are told apart."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import Format

from reconciler.store.failures import translate
from reconciler.store.url import parse_url

TARGET = parse_url("postgresql://a@b/c", application_name="test")


def said(error: psycopg.Error) -> str:
    return str(translate(error, TARGET, broken=False, committing=False))


@pytest.mark.parametrize("value", ["a\0b", ["a\0b"]])
def test_a_text_with_nul_is_called_that(value: object) -> None:
    with pytest.raises(psycopg.DataError) as caught:
        Transformer().get_dumper(value, PyFormat.AUTO).dump(value)

    assert "NUL" in said(caught.value)


@pytest.mark.parametrize(
    "error", [psycopg.errors.UntranslatableCharacter, psycopg.errors.CharacterNotInRepertoire]
)
def test_a_text_that_the_server_finds_with_nul_is_called_that(error: type[psycopg.Error]) -> None:
    assert "NUL" in said(error("unsupported"))


def test_a_time_that_python_can_not_read_is_not_taken_for_nul_and_not_repeated() -> None:
    oid = psycopg.adapters.types["timestamptz"].oid
    with pytest.raises(psycopg.DataError) as caught:
        Transformer().get_loader(oid, Format.TEXT).load(b"29404-01-01 00:00:00+00")

    text = said(caught.value)
    assert ("NUL" in text, "29404" in text, "exchanged" in text) == (False, False, True)
