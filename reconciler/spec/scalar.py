"""Numbers that remember how they were written.

``version: 1.10`` is the number 1.1 to YAML and the text "1.10" to a person. The
parser keeps both, and the model decides: a text field takes the words, a number
field the number.
"""

from __future__ import annotations

from typing import Self


class WrittenInt(int):
    """A whole number with its spelling."""

    written: str

    @classmethod
    def read(cls, text: str, value: int) -> Self:
        """Remember that *value* was written as *text*."""
        made = cls(value)
        made.written = text
        return made


class WrittenFloat(float):
    """A number with its spelling."""

    written: str

    @classmethod
    def read(cls, text: str, value: float) -> Self:
        """Remember that *value* was written as *text*."""
        made = cls(value)
        made.written = text
        return made


def as_written(value: object) -> object:
    """Return a number's spelling and anything else as it is."""
    return value.written if isinstance(value, WrittenInt | WrittenFloat) else value


def plain(value: object) -> object:
    """Return *value* without spellings: dicts, lists and JSON's scalars, all of them fresh."""
    match value:
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case WrittenInt():
            return int(value)
        case WrittenFloat():
            return float(value)
        case _:
            return value
