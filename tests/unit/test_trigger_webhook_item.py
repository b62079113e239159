"""What a call's body becomes for the workflow."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.trigger.webhook_item import BadBody, webhook_item


def body_of(body: bytes, content_type: str | None) -> Any:
    headers = [] if content_type is None else [(b"content-type", content_type.encode())]
    return webhook_item(headers, b"", body, url="u")["body"]


@pytest.mark.parametrize(
    "body, content_type, expected",
    [
        (b'{"a": [1, 2.5, null]}', "application/json", {"a": [1, 2.5, None]}),
        (b"[1]", "application/json; charset=utf-8", [1]),
        (b'{"a": 1}', "application/cloudevents+json", {"a": 1}),
        (b"", "application/json", {}),
        (b"a=1&b=x+y&a=%C3%A4", "application/x-www-form-urlencoded", {"a": ["1", "ä"], "b": "x y"}),
        (b"hello", "text/plain", "hello"),
        ("grüße".encode("latin-1"), "text/plain; charset=latin-1", "grüße"),
        (b"<a/>", "application/xml", "<a/>"),
        (b'{"a": 1}', None, {"a": 1}),
        (b"just text", None, "just text"),
        (b"{not json", None, "{not json"),
    ],
)
def test_a_body_becomes_what_it_is(body: bytes, content_type: str | None, expected: Any) -> None:
    assert expected == body_of(body, content_type)


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", None])
def test_other_bytes_are_passed_on_whole(content_type: str | None) -> None:
    raw = bytes(range(256))
    found = body_of(raw, content_type)
    assert raw == base64.b64decode(found["data"])
    assert (content_type or "application/octet-stream", 256) == (found["mimeType"], found["bytes"])


def test_a_form_with_files_keeps_fields_and_files() -> None:
    raw = (
        b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nInvoice 7\r\n'
        b'--x\r\nContent-Disposition: form-data; name="scan"; filename="a.pdf"\r\n'
        b"Content-Type: application/pdf\r\n\r\n%PDF\x00\xff\r\n--x--\r\n"
    )
    found = body_of(raw, "multipart/form-data; boundary=x")
    assert found["title"] == "Invoice 7"
    assert ("a.pdf", "application/pdf") == (found["scan"]["fileName"], found["scan"]["mimeType"])
    assert base64.b64decode(found["scan"]["data"]) == b"%PDF\x00\xff"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000, b"9" * 5000, b"NaN", b'"\\ud800"', b'"\\u0000"', b"\xff", b'{"a"', b"1e999",
        '{"a":1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_said_and_not_repeated(body: bytes) -> None:
    with pytest.raises(BadBody) as caught:
        body_of(body, "application/json")
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=y"])
def test_what_is_no_multipart_is_said(content_type: str) -> None:
    with pytest.raises(BadBody):
        body_of(b"--x\r\n\r\nhello\r\n--x--", content_type)


def test_a_form_of_too_many_fields_is_refused() -> None:
    with pytest.raises(BadBody, match="1000"):
        body_of(b"a&" * 2000, "application/x-www-form-urlencoded")


def test_headers_and_query_come_along_and_proofs_do_not() -> None:
    headers = [
        (b"x-shop", b"1"), (b"x-shop", b"2"), (b"authorization", b"Bearer s"), (b"cookie", b"c"),
        (b"x-sig", b"s"),
    ]  # fmt: skip
    item = webhook_item(headers, b"a=1&b=", b"", url="u", secret_headers=frozenset({b"x-sig"}))
    assert {"x-shop": "1, 2"} == item["headers"]
    assert {"a": "1", "b": ""} == item["query"]
    assert {"headers", "params", "query", "body", "webhookUrl", "executionMode"} == set(item)


@given(
    body=st.binary(max_size=300),
    content_type=st.sampled_from(
        [
            "", "application/json", "text/plain", "text/plain; charset=\x7f", "text/x; charset=utf-7",
            "multipart/form-data; boundary=a", "application/x-www-form-urlencoded", "; =", 'text/a;"',
            "multipart/form-data; boundary*0=", "text/plain; charset=idna", "image/*",
        ]
    ),
)  # fmt: skip
def test_any_bytes_become_something_storable_or_are_refused(body: bytes, content_type: str) -> None:
    try:
        found = body_of(body, content_type)
    except BadBody:
        return
    text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")
