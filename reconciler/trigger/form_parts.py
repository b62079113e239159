"""The parts of a form with files (multipart/form-data), in a time that grows as the body does.

A part that consists of parts again is a file like any other, or refused: nobody's form has that.
Not here: what a part means to a workflow (`reconciler.trigger.webhook_item`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from typing import Final

from reconciler.trigger.mime import (
    MAX_HEAD,
    BadMime,
    parameter,
    read_content_type,
    read_head,
)

_MAX_BOUNDARY: Final = 200  # the standard has 70
_REST: Final = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")  # of a line that is a boundary
_BLANK: Final = re.compile(rb"(?:\A|\r?\n)\r?\n")
_DISPOSITION: Final = "content-disposition"
_ENCODING: Final = "content-transfer-encoding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A field of a form, or a file."""

    name: str
    content: bytes
    mime_type: str
    file_name: str | None  # None: a field


def read_parts(body: bytes, content_type: str, *, most: int) -> list[Part]:
    """Take a form apart that has up to *most* parts; raises BadMime."""
    boundary = parameter(read_content_type(content_type), "boundary")
    pieces = [] if boundary is None else _pieces(body, boundary.rstrip())
    if not pieces:
        message = "the body is not multipart/form-data"
        raise BadMime(message)
    if len(pieces) > most:
        message = f"a form has at most {most} fields"
        raise BadMime(message)
    return [_part(piece) for piece in pieces]


def _pieces(body: bytes, boundary: str) -> list[bytes]:
    """Give what is between the lines that are the boundary; nothing if the last one is missing."""
    if not boundary.isprintable() or not 0 < len(boundary) <= _MAX_BOUNDARY:
        return []
    mark = b"--" + boundary.encode("latin-1", "replace")
    found: list[bytes] = []
    start, at = -1, body.find(mark)
    while at >= 0:
        end = at + len(mark)
        line = _REST.match(body, end) if at == 0 or body[at - 1 : at] == b"\n" else None
        if line is not None:
            if 0 <= start < at:
                found.append(body[start:at].removesuffix(b"\n").removesuffix(b"\r"))
            if line[1]:
                return found
            start = end = line.end()
        at = body.find(mark, end)
    return []


def _part(piece: bytes) -> Part:
    blank = _BLANK.search(piece, 0, MAX_HEAD + 4)
    head = read_head(piece if blank is None else piece[: blank.start()])
    name = parameter(head, "name", _DISPOSITION)
    file_name = parameter(head, "filename", _DISPOSITION)
    if file_name is None:
        file_name = parameter(head, "name")  # as mail has it
    if name is None or (file_name is None and head.get_content_maintype() == "multipart"):
        message = "a part of the form has no name, or no content"
        raise BadMime(message)
    return Part(
        name=name,
        content=_decoded(head, b"" if blank is None else piece[blank.end() :]),
        mime_type=head.get_content_type(),
        file_name=file_name,
    )


def _decoded(head: Message, content: bytes) -> bytes:
    """Undo base64 and the like, which only programs that know mail use."""
    if _ENCODING not in head:
        return content
    head.set_payload(content.decode("ascii", "surrogateescape"))
    found = head.get_payload(decode=True)
    return found if isinstance(found, bytes) else content
