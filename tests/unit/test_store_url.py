"""Database URLs: what people paste, and that no password comes back."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from reconciler.errors import ConfigError, ExitCode
from reconciler.store.url import parse_url


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg", "POSTGRES", "postgresql+asyncpg"]
)
def test_all_usual_schemes_mean_the_same(scheme: str) -> None:
    target = parse_url(f"{scheme}://me:pw@db.example:6543/ops", application_name="x")

    known = conninfo_to_dict(target.conninfo)
    assert target.place == "db.example:6543/ops"
    assert (known["host"], known["port"], known["dbname"]) == ("db.example", "6543", "ops")
    assert (known["user"], known["password"]) == ("me", "pw")


def test_the_url_decides_over_our_defaults() -> None:
    url = "postgresql://h/d?connect_timeout=1&application_name=mine&sslmode=require"
    known = conninfo_to_dict(parse_url(url, application_name="x").conninfo)

    assert (known["connect_timeout"], known["application_name"]) == ("1", "mine")
    assert known["sslmode"] == "require"


def test_without_a_word_in_the_url_a_connection_is_given_up_after_five_seconds() -> None:
    known = conninfo_to_dict(parse_url("postgresql://h/d", application_name="x").conninfo)

    assert (known["connect_timeout"], known["application_name"]) == ("5", "x")


def test_the_parameters_of_prisma_are_understood() -> None:
    url = "postgresql://h/d?schema=public&connection_limit=5&pgbouncer=true&sslmode=disable"
    target = parse_url(url, application_name="x")

    assert conninfo_to_dict(target.conninfo)["sslmode"] == "disable"


def test_another_schema_than_public_is_refused() -> None:
    with pytest.raises(ConfigError, match='schema "n8n"'):
        parse_url("postgresql://h/d?schema=n8n", application_name="x")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mysql://me:hidden7@h/d",
        "host=h password=hidden7",
        "postgresql://me:hidden7@h:port/d",
        "postgresql://me:hidden7@h:99999/d",
        "postgresql://me:hidden7@h/d?nonsense=1",
        "postgresql://me:hid%zzden7@h/d",
        "postgresql://me:hidden7@[::1/d",
        "postgresql://me:hidden7@h/d?connect_timeout",
        "postgresql://me:hidden7\x00@h/d",
    ],
)
def test_a_malformed_url_is_a_configuration_error_that_hides_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_url(url, application_name="x")

    error = refused.value
    assert error.exit_code == ExitCode.BAD_CONFIGURATION
    assert "hidden7" not in f"{error}{error.hint}{error.__cause__}"
    assert error.hint is not None


def test_a_target_does_not_show_its_password() -> None:
    target = parse_url("postgresql://me:hidden7@h/d", application_name="x")

    assert "hidden7" not in repr(target)
