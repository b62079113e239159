"""Bodies and Content-Types that were made to keep us busy: answered soon, whatever they are."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger.webhook_item import BadBody, webhook_item

FORM = b"multipart/form-data; boundary=b"
NAMED = b"Content-Disposition: form-data; name=a"
SECONDS = 2.0  # of the processor; ordinary JSON of this size takes a tenth


def body_of(body: bytes, content_type: bytes = FORM) -> Any:
    return webhook_item([(b"content-type", content_type)], b"", body, url="u")["body"]


def part(head: bytes, content: bytes = b"v") -> bytes:
    return b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


@pytest.mark.parametrize(
    "content_type, body",
    [
        (b"text/plain" + b";" * 30_000, b"x"),
        (b"text/plain; charset=punycode", b"a" * 300_000 + b"-" + b"a" * 300_000),
        (b"text/plain; charset=" + b"(" * 10_000, b"x"),
        (FORM, form(part(NAMED + b"; filename=" + b"(" * 3_000))),
        (FORM, form(part(NAMED + b";a=b" * 100_000))),
        (FORM, form(part(NAMED + b'; filename="' + b"=?utf-8?q?a?= " * 20_000 + b'"'))),
        (FORM, form(part(NAMED + b"; x=" + b"\r\n a" * 100_000))),
        (FORM, form(part(NAMED + b"\r\na: b" * 100_000))),
        (FORM, form(part(NAMED + b"\r\nContent-Transfer-Encoding: " + b"(" * 3_000))),
        (FORM, form(*[part(NAMED + b";filename=" + b";" * 900)] * 1000)),
        (FORM, form(*[part(NAMED + b"\r\na:" * 100)] * 1000)),
        (FORM, form(*[part(NAMED + b"; filename=" + b"=?a?q?" * 150)] * 1000)),
        (FORM, b"--b\r\n" * 200_000),
        (FORM, b"--b\r\n" + b"\r\n" * 500_000 + b"--b--"),
        (b"multipart/form-data; boundary=" + b"a" * 20_000, b"--" + b"a" * 1_000_000),
    ],
)  # fmt: skip
def test_hostile_bodies_cost_about_what_others_cost(content_type: bytes, body: bytes) -> None:
    began = time.process_time()
    with suppress(BadBody):
        body_of(body, content_type)
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize(
    "content_type, body",
    [
        (
            b"multipart/form-data; boundary=b0",
            b"".join(
                b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1)
                for n in range(3000)
            ),
        ),
        (FORM, form(part(NAMED + b"\r\nContent-Type: multipart/mixed; boundary=c", b"--c--"))),
        (FORM, form(part(NAMED + b"; filename*0*=b''a; filename*0=b; filename*=c"))),
        (FORM, form(part(b'Content-Disposition: form-data; name="=?utf-8?B?a?="'))),
        (FORM, form(part(b"X: " + b"x" * 5000 + b"\r\n" + NAMED))),
        (FORM, form(part(NAMED + b"; x=y" * 30))),
        (FORM, form(*[part(NAMED)] * 1001)),
        (b"text/plain" + b" " * 5000 + b"; charset=utf-8", b"x"),
        (b"text/plain; charset=punycode", b"abc"),
        (b"text/plain; charset=idna", b"abc"),
        (b"text/plain; charset=nobody-knows", b"abc"),
    ],
)  # fmt: skip
def test_what_nobody_sends_in_earnest_is_refused(content_type: bytes, body: bytes) -> None:
    with pytest.raises(BadBody) as caught:
        body_of(body, content_type)
    assert len(str(caught.value)) < 100


def test_a_mail_that_is_uploaded_stays_a_file_however_many_it_holds() -> None:
    mail = b"Content-Type: message/rfc822\r\n\r\n" * 3000
    head = NAMED + b"; filename=a.eml\r\nContent-Type: message/rfc822"
    found = body_of(form(part(head, mail)))["a"]
    assert ("message/rfc822", len(mail)) == (found["mimeType"], found["bytes"])


@pytest.mark.parametrize(
    "head, name",
    [
        ('filename="grüße, 1; 2.pdf"', "grüße, 1; 2.pdf"),
        ("filename*=utf-8''gr%C3%BC%C3%9Fe.pdf", "grüße.pdf"),
        ("filename*=iso-8859-1''gr%FC%DFe.pdf", "grüße.pdf"),
        ('filename="=?utf-8?B?Z3LDvMOfZQ==?="', "grüße"),
        ("filename*0=ab; filename*1=cd.pdf", "abcd.pdf"),
        ('filename="a\0b"', "a\N{REPLACEMENT CHARACTER}b"),
        ("filename*=punycode''a-b", "a-b"),
        ('filename=""', ""),
    ],
)
def test_files_keep_the_names_that_senders_write_in_many_ways(head: str, name: str) -> None:
    assert name == body_of(form(part(NAMED + b"; " + head.encode())))["a"]["fileName"]


@pytest.mark.parametrize(
    "body, value",
    [
        (part(NAMED, b"1\r\n\r\n--bc\r\n --b"), "1\r\n\r\n--bc\r\n --b"),
        (part(NAMED, b""), ""),
        (part(NAMED + b"\r\nContent-Transfer-Encoding: base64", b"aGVsbG8="), "hello"),
        (part(NAMED + b"\r\nContent-Transfer-Encoding: quoted-printable", b"a=C3=BC"), "aü"),
        (part(NAMED + b"\r\nContent-Transfer-Encoding: binary", "ü".encode()), "ü"),
        (b"before\r\n" + part(NAMED), "v"),
        (b"--b\r\n" + part(NAMED), "v"),
        (b"--b \t\n" + NAMED + b"\n\nv\n", "v"),
        (b"--b\r\n" + NAMED + b"\r\n", ""),
        (part(NAMED) * 2, ["v", "v"]),
    ],
)
def test_parts_begin_and_end_where_the_boundary_is_a_line(body: bytes, value: Any) -> None:
    assert {"a": value} == body_of(form(body))


@pytest.mark.parametrize("body", [part(NAMED), part(NAMED) + b"--b\r\n", b"--b--\r\n", b"", b"--b"])
def test_a_form_without_its_end_or_without_parts_is_none(body: bytes) -> None:
    with pytest.raises(BadBody, match="not multipart"):
        body_of(body or b"x")


@pytest.mark.parametrize(
    "charset, raw",
    [
        ("ISO-8859-15", b"\xa4"), ('"windows-1252"', b"\x80"), ("UTF-16LE", b"\xac\x20"),
        ("utf8", b"\xe2\x82\xac"), ("gb18030", "€".encode("gb18030")), ("koi8-r", None),
        ("Shift_JIS", None), ("EUC-KR", None), ("big5", None), ("us-ascii", None),
    ],
)  # fmt: skip
def test_the_charsets_of_the_web_are_read(charset: str, raw: bytes | None) -> None:
    found = body_of(raw or b"a", f"text/plain; charset={charset}".encode())
    assert ("€" if raw else "a") == found


SHREDS = st.lists(
    st.sampled_from([
        b";", b" ", b"charset", b"=", b"*", b"*0", b"*1*", b"'", b"''", b'"', b"\\", b"(", b"utf-8",
        b"%ff", b"\xff", b"=?", b"?=", b"q", b"?", b"<", b"name", b"filename", b"\0", b"\x7f", b"a",
        b"\r\n ", b"\r\n", b":", b"base64", b"uuencode", b"Content-Transfer-Encoding:", b"utf-16",
    ]),
    max_size=14,
).map(b"".join)  # fmt: skip


@given(in_type=SHREDS, in_head=SHREDS, kind=st.sampled_from([FORM, b"text/plain", b"a/xml"]))
def test_shredded_headers_become_something_or_are_refused(
    in_type: bytes, in_head: bytes, kind: bytes
) -> None:
    with suppress(BadBody):
        body_of(form(part(NAMED + in_head)), kind + in_type)
