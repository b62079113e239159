"""The item that a webhook call becomes: what n8n's own Webhook node would have given.

JSON, forms and texts become what they are; anything else, and each uploaded file, becomes
`{"data": <base64>, "mimeType", "bytes"}`, which n8n's "Convert to File" turns into binary data.
Headers that prove who the caller is stay out: the item is stored. Not here: reading the request.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import parse_qsl

from reconciler.resource.payload import Json, Object
from reconciler.trigger.form_parts import Part, read_parts
from reconciler.trigger.jsonbody import BadJson, read_json
from reconciler.trigger.mime import BadMime, decode, parameter, read_content_type

MAX_FIELDS: Final = 1000  # of a form or a query
_PROOF: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class BadBody(ValueError):
    """The body isn't what its Content-Type says; the message may be shown, it repeats no value."""


def webhook_item(
    headers: Sequence[tuple[bytes, bytes]],
    query: bytes,
    body: bytes,
    *,
    url: str,
    secret_headers: frozenset[bytes] = frozenset(),
) -> Object:
    """Build the item of a call; raises BadBody."""
    kept = _headers((name, value) for name, value in headers if name not in _PROOF | secret_headers)
    content_type = kept.get("content-type")
    try:
        read = _body(body, content_type if isinstance(content_type, str) else "")
    except BadMime as error:
        raise BadBody(str(error)) from None
    return {
        "headers": dict(kept),
        "params": {},
        "query": _form(query),
        "body": read,
        "webhookUrl": url,
        "executionMode": "production",
    }


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> Object:
    found: dict[str, Json] = {}
    for name, value in pairs:
        key, text = name.decode("latin-1"), value.decode("latin-1").replace("\0", _REPLACEMENT)
        before = found.get(key)
        found[key] = text if before is None else f"{before}, {text}"
    return found


def _body(body: bytes, content_type: str) -> Json:
    if not body:
        return {}
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _json(body)
    if kind == "application/x-www-form-urlencoded":
        return _form(body)
    if kind == "multipart/form-data":
        return _multipart(body, content_type)
    if kind.startswith("text/") or kind.endswith(("/xml", "+xml")):
        return _text(body, content_type)
    if not kind:
        return _guessed(body)
    return _binary(body, kind)


def _json(body: bytes) -> Json:
    try:
        return read_json(body)
    except BadJson as error:
        raise BadBody(str(error)) from None


def _guessed(body: bytes) -> Json:
    """Take a body without a type for JSON if it is, else for text if it is, else for data."""
    if body.lstrip()[:1] in (b"{", b"["):
        try:
            return read_json(body)
        except BadJson:
            pass
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _binary(body, "application/octet-stream")
    return _binary(body, "application/octet-stream") if "\0" in text else text


def _form(raw: bytes) -> Object:
    try:
        text = raw.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError:
        message = "a form has only ASCII characters"
        raise BadBody(message) from None
    except ValueError:
        message = f"a form has at most {MAX_FIELDS} fields"
        raise BadBody(message) from None
    return _gathered(
        (name.replace("\0", _REPLACEMENT), value.replace("\0", _REPLACEMENT))
        for name, value in pairs
    )


def _gathered(pairs: Iterable[tuple[str, Json]]) -> Object:
    """Make a list of what comes more than once."""
    found: dict[str, Json] = {}
    lists: set[str] = set()
    for name, value in pairs:
        if name not in found:
            found[name] = value
            continue
        before = found[name]
        if name in lists and isinstance(before, list):
            before.append(value)
        else:
            found[name] = [before, value]
            lists.add(name)
    return found


def _text(body: bytes, content_type: str) -> Json:
    charset = parameter(read_content_type(content_type), "charset") or "utf-8"
    return _decoded(body, charset.lower(), content_type.partition(";")[0].strip())


def _decoded(body: bytes, charset: str, kind: str) -> Json:
    text = decode(body, charset)
    return _binary(body, kind) if "\0" in text else text


def _binary(body: bytes, kind: str) -> Object:
    return {"data": base64.b64encode(body).decode(), "mimeType": kind, "bytes": len(body)}


def _multipart(body: bytes, content_type: str) -> Json:
    parts = read_parts(body, content_type, most=MAX_FIELDS)
    return _gathered((part.name, _field(part)) for part in parts)


def _field(part: Part) -> Json:
    if part.file_name is None:
        return _decoded(part.content, "utf-8", "text/plain")
    return {**_binary(part.content, part.mime_type), "fileName": part.file_name}
