"""YAML text to plain values with places, through a gate that nothing dear passes.

Built on the events of libyaml, not on its loader: events come one at a time and
without recursion, so limits hold before anything is built, and only the words
of YAML 1.2 have a meaning. Not here: what a document means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml._yaml import CParser

from reconciler.diagnostics import Diagnostic, Mark, Severity
from reconciler.spec import place as places
from reconciler.spec.place import SHIFT, Place, Position
from reconciler.spec.scalar import WrittenFloat, WrittenInt
from reconciler.spec.syntax import syntax_error

MAX_DEPTH: Final = 50
MAX_NODES: Final = 100_000  # aliases count as what they stand for
MAX_DOCUMENTS: Final = 1000  # in one file
MAX_FOUND: Final = 100  # faults of one file; nobody reads more, and more would take time
MAX_SAFE_INTEGER: Final = 2**53  # beyond it JSON readers lose digits
_MAX_DIGITS: Final = 20  # longer ones are not even converted

CONTROL: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
BIDI: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SPECIAL: Final = frozenset("~nNtTfF-+.0123456789")
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(
    r"[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*(?:[eE][-+]?[0-9]+)?"
    r"|\.[0-9]+(?:[eE][-+]?[0-9]+)?|(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+)"
)
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NO_KEY: Final = object()
_SKIPPED: Final = object()


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """One YAML document: its *value* and the *place* of every part."""

    value: object
    place: Place


class _TooMuch(Exception):
    def __init__(self, code: str, message: str, at: Position, hint: str | None = None) -> None:
        super().__init__(message)
        self.finding = (code, message, at, hint)


def parse(text: str, path: str) -> tuple[list[ParsedDocument], list[Diagnostic]]:
    """Read all documents of *text*; a file that breaks a limit or the syntax gives none."""
    found = _characters(text, path)
    if any(diagnostic.is_error for diagnostic in found):
        return [], found
    builder = _Builder(path)
    try:
        documents = builder.run(text)
    except _TooMuch as error:
        return [], [*found, *builder.found, builder.error(*error.finding)]
    except yaml.YAMLError as error:
        return [], [*found, *builder.found, syntax_error(error, text, path)]
    return documents, [*found, *builder.found]


def _characters(text: str, path: str) -> list[Diagnostic]:
    control = CONTROL.search(text)
    if control is not None:
        word = f"U+{ord(control[0]):04X}"
        message = f"the control character {word} cannot stand in a spec"
        return [_finding("YML109", message, _mark_at(text, control.start(), path))]
    bidi = BIDI.search(text)
    if bidi is None:
        return []
    word = f"U+{ord(bidi[0]):04X}"
    message = f"the character {word} makes text look other than it is"
    mark = _mark_at(text, bidi.start(), path)
    return [_finding("YML112", message, mark, "remove it, or write it as an escape in quotes")]


def _mark_at(text: str, offset: int, path: str) -> Mark:
    start = text.rfind("\n", 0, offset) + 1
    return Mark(path, text.count("\n", 0, offset) + 1, offset - start + 1)


def _finding(code: str, message: str, mark: Mark, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, mark, hint)


class _Builder:
    """Builds values from events, iteratively; `found` collects what does not stop it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.found: list[Diagnostic] = []
        self.documents: list[ParsedDocument] = []
        # What an anchor names, its places, how many values it has, how deep it is.
        self.anchors: dict[str, tuple[object, Place, int, int]] = {}
        self.open_anchors: set[str] = set()
        self.nodes = 0
        # One entry for each open container: itself, its places, the key that waits for
        # its value, that key's position, its anchor, the count when it began, its height.
        self.stack: list[list[Any]] = []

    def error(self, code: str, message: str, at: Position, hint: str | None = None) -> Diagnostic:
        """Make a finding at a position of this file."""
        return _finding(code, message, places.mark(self.path, at), hint)

    def report(self, code: str, message: str, at: Position, hint: str | None = None) -> None:
        """Collect a finding and go on."""
        self.found.append(self.error(code, message, at, hint))
        if len(self.found) >= MAX_FOUND:
            message = f"this file has {MAX_FOUND} faults or more; the rest of it was not read"
            raise _TooMuch("YML113", message, at)

    def run(self, text: str) -> list[ParsedDocument]:
        """Read every document; raises what stops the file."""
        parser = CParser(text)
        next_event = parser.get_event
        scalar, start_map, start_list = (
            yaml.ScalarEvent,
            yaml.MappingStartEvent,
            yaml.SequenceStartEvent,
        )
        end_map, end_list, alias = yaml.MappingEndEvent, yaml.SequenceEndEvent, yaml.AliasEvent
        while True:
            event = next_event()
            kind = type(event)
            if kind is scalar:
                self.scalar(event)
            elif kind is start_map or kind is start_list:
                self.open(event, {} if kind is start_map else [])
            elif kind is end_map or kind is end_list:
                self.close()
            elif kind is alias:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.anchors.clear()
                self.nodes = 0
            elif kind is yaml.StreamEndEvent:
                return self.documents

    def count(self, nodes: int, at: Position) -> None:
        """Count *nodes* more; raises when the document becomes too large."""
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            message = f"this document has more than {MAX_NODES:,} values, aliases included"
            raise _TooMuch("YML103", message, at, "split it into several files")

    def scalar(self, event: Any) -> None:
        """Take a scalar: a key, or a value."""
        start = event.start_mark
        at = start.line << SHIFT | start.column
        text: str = event.value
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.count(0, at)
        if event.tag is not None:
            self.tagged(event.tag, at)
        plain = not event.style
        if event.style == '"' and CONTROL.search(text) is not None:
            self.report("YML109", "this text holds a control character or half a character", at)
            text = ""
        stack = self.stack
        if stack:
            top = stack[-1]
            if top[2] is _NO_KEY:
                self.key(top, text, at, plain)
                if event.anchor is not None:
                    self.anchors[event.anchor] = (text, at, 1, 0)
                return
        value: object = text
        if plain and (not text or text[0] in _SPECIAL):
            value = self.resolve(text, at)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, at, 1, 0)
        self.attach(value, at)

    def key(self, top: list[Any], text: str, at: Position, plain: bool) -> None:
        """Take a key of the open mapping."""
        if plain and text == "<<":
            self.report("YML105", "merge keys (<<) are not supported", at, "write the fields out")
            top[2] = _SKIPPED
            return
        first = top[1][1].get(text)
        if first is not None:
            line = (first[0] >> SHIFT) + 1
            message = f'"{text}" stands twice in this mapping, first in line {line}'
            self.report("YML107", message, at, "remove one of the two")
            top[2] = _SKIPPED
            return
        top[2] = text
        top[3] = at

    def resolve(self, text: str, at: Position) -> object:
        """Read a plain scalar: YAML 1.2's core words and numbers, else text."""
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            if len(text) <= _MAX_DIGITS:
                value = int(text, 0)
                if abs(value) <= MAX_SAFE_INTEGER:
                    return WrittenInt.read(text, value)
            self.report("YML110", "this number is too large to be kept exactly", at, _QUOTE)
            return 0
        if _FLOAT.fullmatch(text):
            number = float(text) if len(text) <= 100 else float("inf")
            if number not in (float("inf"), float("-inf")):
                return WrittenFloat.read(text, number)
            self.report("YML110", "this number is too large", at, _QUOTE)
            return 0
        if _NOT_FINITE.fullmatch(text):
            self.report("YML110", f"{text} is not a number that can be kept", at, _QUOTE)
            return 0
        return text

    def open(self, event: Any, container: Any) -> None:
        """Begin a mapping or a list."""
        start = event.start_mark
        at = start.line << SHIFT | start.column
        self.check_depth(1, at)
        if event.tag is not None:
            self.tagged(event.tag, at)
        self.count(1, at)
        is_map = type(container) is dict
        waiting = _NO_KEY if is_map else None
        if event.anchor is not None:
            self.open_anchors.add(event.anchor)
            self.anchors.pop(event.anchor, None)
        place: Place = (at, {}) if is_map else (at, [])
        self.stack.append([container, place, waiting, 0, event.anchor, self.nodes, 1])

    def check_depth(self, height: int, at: Position) -> None:
        """Refuse what would be nested too deeply here."""
        if len(self.stack) + height > MAX_DEPTH:
            raise _TooMuch("YML102", f"nested deeper than {MAX_DEPTH} levels", at)

    def grow(self, height: int) -> None:
        """Remember that the open container holds something of *height*."""
        if self.stack and self.stack[-1][6] <= height:
            self.stack[-1][6] = height + 1

    def close(self) -> None:
        """End the innermost container and hand it to the one around it."""
        container, place, _, _, anchor, before, height = self.stack.pop()
        if anchor is not None:
            self.open_anchors.discard(anchor)
            self.anchors[anchor] = (container, place, self.nodes - before + 1, height)
        self.grow(height)
        self.attach(container, place)

    def attach(self, value: object, place: Place) -> None:
        """Put a finished value where it belongs."""
        if not self.stack:
            if value is not None:  # an empty document says nothing
                self.documents.append(ParsedDocument(value, place))
            if len(self.documents) > MAX_DOCUMENTS:
                message = f"this file has more than {MAX_DOCUMENTS:,} documents"
                at = places.position(place)
                raise _TooMuch("YML103", message, at, "split it into several files")
            return
        top = self.stack[-1]
        key = top[2]
        if key is None:
            top[0].append(value)
            top[1][1].append(place)
            return
        if key is _NO_KEY:
            self.report("YML111", "a key must be text", places.position(place))
            top[2] = _SKIPPED
            return
        if key is not _SKIPPED:
            top[0][key] = value
            top[1][1][key] = (top[3], place)
        top[2] = _NO_KEY

    def alias(self, event: Any) -> None:
        """Put in what an alias stands for, and count all of it."""
        start = event.start_mark
        at = start.line << SHIFT | start.column
        name = event.anchor
        if name in self.open_anchors:
            raise _TooMuch("YML104", f"the anchor &{name} contains itself", at)
        known = self.anchors.get(name)
        if known is None:
            message = f"there is no anchor &{name} before this alias"
            raise _TooMuch("YML104", message, at)
        value, place, nodes, height = known
        self.count(nodes, at)
        self.check_depth(height, at)
        self.grow(height)
        self.attach(value, at if isinstance(place, int) else (at, place[1]))  # type: ignore[arg-type]

    def tagged(self, tag: str, at: Position) -> None:
        """Refuse a tag: types come from the fields, not from the text."""
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self.report("YML106", f"tags are not supported: {shown}", at, "remove the tag")


_QUOTE: Final = "put it in quotes if it is a text"
