"""What MIME headers say: their parameters, and texts in the charset that they name.

The email package reads them; it takes more than linear time for some, and Python knows charsets
that do, so headers are short and charsets are on a list. Not here: bodies of several parts.
"""

from __future__ import annotations

from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.parser import HeaderParser
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Final

MAX_HEAD: Final = 4096  # bytes of a Content-Type, or of the headers of a part
MAX_LINES: Final = 20  # of the headers of a part
MAX_PARAMETERS: Final = 20  # in all of them; each costs far more than the byte that it takes
_MAX_WORDS: Final = 10  # encoded words in a parameter; more is no name that anybody gave
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_CHARSETS: Final = frozenset({
    "ascii", "utf_8", "utf_8_sig", "utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be",
    "utf_32_le", "latin_1", *(f"iso8859_{n}" for n in range(2, 17) if n != 12),
    *(f"cp125{n}" for n in range(9)), "cp874", "tis_620", "koi8_r", "koi8_u", "mac_roman",
    "shift_jis", "cp932", "euc_jp", "iso2022_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr",
    "cp949",
})  # fmt: skip


class BadMime(ValueError):
    """This is not MIME that we take; the message is safe to show, it repeats no value."""


def read_head(raw: bytes) -> Message:
    """Read header lines; raises BadMime."""
    if len(raw) > MAX_HEAD or raw.count(b"\n") >= MAX_LINES or raw.count(b";") > MAX_PARAMETERS:
        message = "a Content-Type, or the header of a part, is too long"
        raise BadMime(message)
    # Browsers write names of files as they are; the standard calls that UTF-8.
    return HeaderParser().parsestr(raw.decode(errors="replace").replace("\0", _REPLACEMENT))


def read_content_type(text: str) -> Message:
    """Read a Content-Type; raises BadMime."""
    return read_head(b"Content-Type: " + text.encode("latin-1", "replace"))


def parameter(head: Message, name: str, header: str = "content-type") -> str | None:
    """Give a parameter of a header in plain characters; None: it is not there. Raises BadMime."""
    try:
        found: str | tuple[str | None, str | None, str] | None = head.get_param(name, header=header)
        if found is None:
            return None
        if isinstance(found, tuple):
            charset, _, text = found
            given = _or_replaced(text.encode("latin-1"), charset or "ascii")
        else:
            given = _without_words(found)
    except (MessageError, ValueError, TypeError):  # TypeError: pieces of it with the same number
        message = "a parameter of a header can't be read"
        raise BadMime(message) from None
    return given.replace("\0", _REPLACEMENT)


def decode(raw: bytes, charset: str) -> str:
    """Read *raw* as a text in *charset*; raises BadMime."""
    codec = _codec(charset)
    if codec is None:
        message = "the body is a text in a charset that is not known here"
        raise BadMime(message)
    try:
        return raw.decode(codec)
    except UnicodeError:
        message = f"the body is not text in {codec.replace('_', '-')}"
        raise BadMime(message) from None


def _codec(charset: str) -> str | None:
    # Not codecs.lookup: it remembers every name that it was ever asked for.
    name = normalize_encoding(charset.lower())
    name = aliases.get(name, name)
    return name if name in _CHARSETS else None


def _or_replaced(raw: bytes, charset: str) -> str:
    return raw.decode(_codec(charset) or "ascii", errors="replace")


def _without_words(text: str) -> str:
    """Read `=?utf-8?B?...?=`, in which some senders write names that are not ASCII."""
    if not 0 < text.count("=?") <= _MAX_WORDS:
        return text
    return "".join(
        part if isinstance(part, str) else _or_replaced(part, charset or "latin-1")
        for part, charset in decode_header(text)
    )
