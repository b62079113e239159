"""The log: lines for machines and for people, and no secret in either."""

from __future__ import annotations

import base64
import io
import json
import logging
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import structlog

from reconciler import log
from reconciler.log import Redactor, bound, configure, get_logger
from reconciler.vault.secret import Secret

CANARY = "canary-7f3a'\"\n/9e+x"
FORMS = [
    "rec_api_k3j2h1_Zm9vYmFyYmF6cXV4_1a2b3c",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "ghp_" + "a1" * 18,
    "glpat-" + "x" * 20,
    "sk-" + "proj" * 6,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    log._configured = False
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def test_nothing_is_written_before_the_log_is_configured(capfd: pytest.CaptureFixture[str]) -> None:
    get_logger("worker").error("nobody hears this")

    assert capfd.readouterr() == ("", "")


def test_a_line_is_one_json_object_with_what_is_bound(out: io.StringIO) -> None:
    configure(as_json=True, stream=out)
    with bound(execution="e1", organization="acme", revision=None):
        get_logger("worker").info("claimed", count=3)

    line = json.loads(out.getvalue())

    assert out.getvalue().count("\n") == 1
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "worker",
        "event": "claimed",
        "count": 3,
        "execution": "e1",
        "organization": "acme",
    }


def test_what_was_bound_is_gone_afterwards(out: io.StringIO) -> None:
    configure(as_json=True, stream=out)
    with bound(execution="e1"):
        pass
    get_logger("worker").info("idle")

    assert "execution" not in json.loads(out.getvalue())


def test_lines_below_the_level_are_not_written(out: io.StringIO) -> None:
    configure(as_json=True, level="warning", stream=out)
    get_logger("worker").info("quiet")
    logging.getLogger("library").info("quiet")

    assert out.getvalue() == ""


def test_a_library_speaks_through_the_same_log(out: io.StringIO) -> None:
    configure(as_json=True, stream=out)
    logging.getLogger("library").warning("careful: %s", "password=hunter22")

    line = json.loads(out.getvalue())

    assert ("library", "warning", "careful: password=***") == (
        line["logger"],
        line["level"],
        line["event"],
    )


def test_a_person_reads_a_line(out: io.StringIO) -> None:
    configure(as_json=False, stream=out)
    get_logger("worker").info("claimed", count=3, name="a b")

    assert out.getvalue()[9:] == 'info    worker: claimed count=3 name="a b"\n'


@pytest.mark.parametrize("as_json", [True, False])
def test_text_from_outside_can_not_steer_a_terminal_or_forge_a_line(
    out: io.StringIO, *, as_json: bool
) -> None:
    configure(as_json=as_json, stream=out)
    get_logger("web").warning("refused", path="/x\x1b[2J\n\u202efake", **{"k\x1b": "\x9b1m"})

    assert out.getvalue().count("\n") == 1
    assert not set(out.getvalue()) & {"\x1b", "\u202e", "\x9b"}
    if as_json:
        assert json.loads(out.getvalue())["path"] == "/x\x1b[2J\n\u202efake"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_registered_secret_is_in_no_line_in_any_spelling(
    out: io.StringIO, *, as_json: bool
) -> None:
    redactor = Redactor()
    redactor.register([CANARY, "tiny"])
    configure(as_json=as_json, stream=out, redactor=redactor)
    coded = base64.b64encode(CANARY.encode()).decode()
    spellings = [
        CANARY,
        quote(CANARY, safe=""),
        json.dumps(CANARY)[1:-1],
        repr(CANARY)[1:-1],
        coded,
    ]
    say = get_logger("any")
    for text in spellings:
        say.info(text, field=text, nested={"deep": [text, {text: text}]}, raw=text.encode())
    try:
        int(CANARY)
    except ValueError:
        say.exception("failed")
    say.info("a tiny word stays")

    assert [text for text in spellings if text in out.getvalue()] == []
    assert "7f3a" not in out.getvalue()
    assert "a tiny word stays" in out.getvalue()


@pytest.mark.parametrize("secret", FORMS, ids=lambda text: text[:8])
def test_what_looks_like_a_secret_is_hidden(secret: str) -> None:
    assert Redactor().text(f"before {secret} after") == "before *** after"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("postgresql://me:hunter2@db/x", "postgresql://me:***@db/x"),
        ("Authorization: Bearer abcdefgh", "Authorization: Bearer ***"),
        ("login failed: password=hunter2;", "login failed: password=***;"),
        ("a plain sentence about token rotation", "a plain sentence about token rotation"),
        (
            "revision 3f2a9c at http://127.0.0.1:8080/x",
            "revision 3f2a9c at http://127.0.0.1:8080/x",
        ),
    ],
)
def test_a_secret_is_found_where_it_stands(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected


@pytest.mark.parametrize(
    "name", ["password", "DB_PASSWORD", "client_secret", "X-N8N-API-KEY", "authorization", "token"]
)
def test_a_field_with_the_name_of_a_secret_is_hidden(name: str) -> None:
    assert Redactor().value({"a": {name: "x"}}) == {"a": {name: "***"}}


def test_every_secret_that_was_made_is_known() -> None:
    Secret("canary-made-in-the-vault")

    assert log.REDACTOR.text("x canary-made-in-the-vault y") == "x *** y"


def test_ten_thousand_secrets_cost_no_more_than_one() -> None:
    redactor = Redactor()
    redactor.register(f"secret number {n}" for n in range(10_000))
    text = "no news today, " * 1000 + "secret number 77"

    began = time.process_time()
    assert redactor.text(text).endswith("***")
    first = time.process_time() - began
    began = time.process_time()
    redactor.text(text)

    assert time.process_time() - began < 0.1 + first


def test_deep_and_odd_values_end() -> None:
    loop: list[object] = []
    loop.append(loop)

    assert "..." in str(Redactor().value(loop))
    assert Redactor().value(b"abc") == "3 bytes"
