"""What commands take from a person: JSON from a file, standard input or the command line; times."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from reconciler.errors import UsageError
from reconciler.resource.payload import Json
from reconciler.spec.quantity import MAX_DURATION, parse_duration
from reconciler.trigger.jsonbody import BadJson, read_json

MAX_INPUT: Final = 1024 * 1024  # bytes, as over HTTP
DURATION: Final = r"([0-9]+(ms|s|m|h|d))+"  # of any length, to say what is wrong with it
_FIRST_YEAR, _LAST_YEAR = 1970, 9000  # of a time; beyond, no zone and no duration can be added


def json_given(text: str | None, option: str) -> Json:
    """Read JSON: `@file`, `-` (standard input) or the text itself; raises UsageError."""
    if text is None:
        return {}
    raw = bytes_given(text, option)
    try:
        return read_json(raw)
    except BadJson as error:
        message = f"{option} is {error}"
        raise UsageError(message, hint="such as '{\"a\": 1}', @input.json or - for stdin") from None


def bytes_given(text: str | None, option: str) -> bytes:
    """Read bytes: `@file`, `-` (standard input) or the text itself; raises UsageError."""
    raw = b"" if text is None else _bytes(text, option)
    if len(raw) > MAX_INPUT:
        message = f"{option} is larger than {MAX_INPUT} bytes"
        raise UsageError(message)
    return raw


def _bytes(text: str, option: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read(MAX_INPUT + 1)
    if not text.startswith("@"):
        return text.encode(errors="surrogateescape")
    path = Path(text[1:])
    try:
        with path.open("rb") as file:
            return file.read(MAX_INPUT + 1)
    except OSError as error:
        message = f"can't read {path}, which {option} names: {error.strerror}"
        raise UsageError(message) from None


def duration(text: str) -> timedelta:
    """Read an option such as 10m."""
    try:
        return parse_duration(text)
    except (ValueError, OverflowError):
        message = f'"{text}" is not a duration such as 30s, 10m or 2h'
        if re.fullmatch(DURATION, text):
            message = f'"{text}" is too long: a duration is at most {MAX_DURATION.days} days'
        raise click.BadParameter(message) from None


def moment(text: str) -> datetime:
    """Read an option that is a time, or a duration: that long ago.

    A time without a zone is the one that the person's clock shows.
    """
    try:
        found = datetime.fromisoformat(text).astimezone(UTC)
        if _FIRST_YEAR <= found.year <= _LAST_YEAR:
            return found
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.now(UTC) - parse_duration(text)
    except (ValueError, OverflowError):
        message = f'"{text}" is neither a time such as 2026-01-31T09:00 nor a duration such as 2h'
        raise click.BadParameter(message) from None
