"""How results and errors look: colour only on a terminal, text from outside escaped.

stdout carries the result and nothing else; everything else goes to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import click

from reconciler.errors import ReconcilerError
from reconciler.resource.json_text import json_text

_STYLES: dict[str, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "note": {"fg": "cyan"},
    "help": {"fg": "cyan"},
    "create": {"fg": "green"},
    "update": {"fg": "yellow"},
    "remove": {"fg": "red"},
    "blocked": {"fg": "magenta"},
    "adopt": {"fg": "cyan"},
    "move": {"fg": "cyan"},
    "replace": {"fg": "yellow"},
    "drift": {"fg": "yellow"},
    "heading": {"bold": True},
    "summary": {"bold": True},
    "deleted": {"fg": "red"},
    "bold": {"bold": True},
    "dim": {"dim": True},
    "added": {"fg": "green"},
    "removed": {"fg": "red"},
}
Paint = Callable[[str, str], str]
_CONTROL = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x0A},
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}


def wants_json(words: Sequence[str]) -> bool:
    """Whether the command line asks for JSON, as far as one can tell when it is wrong."""
    for number, word in enumerate(words):
        if word in {"-o", "--output"}:
            return list(words[number + 1 : number + 2]) == ["json"]
        if word in {"-ojson", "--output=json"}:
            return True
    return False


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at *stream*."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def wants_color(stream: TextIO) -> bool:
    """Whether *stream* gets colour: a terminal, and neither NO_COLOR nor --no-color."""
    context = click.get_current_context(silent=True)
    refused = bool(context and context.find_root().obj and context.find_root().obj["no_color"])
    return is_terminal(stream) and not refused and not os.environ.get("NO_COLOR")


def painter(stream: TextIO) -> Paint:
    """Give the function that colours text for *stream*, or leaves it as it is."""
    if not wants_color(stream):
        return lambda _, text: text
    return lambda style, text: click.style(text, **_STYLES[style]) if style in _STYLES else text


def escape(text: str) -> str:
    """Make control and direction characters visible, so that text can't steer the terminal."""
    return text.translate(_CONTROL)


def result(text: str) -> None:
    """Print the result of a command."""
    click.echo(text, color=True if wants_color(sys.stdout) else None)


def document(data: object) -> None:
    """Print the one JSON document of a command."""
    click.echo(json_text(data, indent=2, ensure_ascii=False, default=str))


def say(text: str) -> None:
    """Tell the person something that is not the result."""
    click.echo(text, err=True, color=True if wants_color(sys.stderr) else None)


def failure(error: ReconcilerError, *, usage: str = "") -> None:
    """Print an error and its hint."""
    paint = painter(sys.stderr)
    if usage:
        say(usage.rstrip("\n"))
    say(f"{paint('error', 'error:')} {escape(str(error))}")
    if error.hint:
        say(f"{paint('help', 'help:')} {escape(error.hint)}")
