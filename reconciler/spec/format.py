"""One way to write a spec file: order of the outer keys, two spaces, comments kept.

Words are moved, never read: every scalar stays as it was written. A result that
would say something else, or lose a comment, is thrown away and the file is left
alone. Not here: reading and writing files.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.tag import Tag

from reconciler.diagnostics import Diagnostic, Mark, Severity
from reconciler.spec.order import align_comments, reorder
from reconciler.spec.parse import parse

_WIDTH: Final = 1 << 20  # columns; texts are not broken into lines
_PASSES: Final = 4  # what is not stable by then is left alone
_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#.*")


@dataclass(frozen=True, slots=True)
class Formatted:
    """The new *text*, or None with the reasons why the file is left alone."""

    text: str | None
    diagnostics: tuple[Diagnostic, ...] = ()


class _Words(VersionedResolver):
    """Knows no types: a scalar is the words that stand there."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """Call every scalar a text, except the empty one, which is nothing."""
        if kind is ScalarNode:
            return Tag(
                suffix="tag:yaml.org,2002:" + ("str" if value or not implicit[0] else "null")
            )
        return super().resolve(kind, value, implicit)


def format_text(text: str, path: str) -> Formatted:
    """Format *text*; stable: formatting the result changes nothing."""
    documents, found = parse(text, path)
    if any(item.is_error for item in found):
        return Formatted(None, tuple(found))
    if not documents:
        return Formatted(text)  # nothing but comments
    wanted = [item.value for item in documents]
    current = text
    for _ in range(_PASSES):
        try:
            following = _pass(current, path)
        except (YAMLError, ValueError, AttributeError, AssertionError):
            # ruamel.yaml is stricter or weaker than libyaml in odd corners
            return Formatted(None, (_left_alone(path),))
        if following == current:
            break
        current = following
    else:
        return Formatted(None, (_left_alone(path),))
    again, problems = parse(current, path)
    same = [item.value for item in again] == wanted and not problems
    if not same or _comments(current) != _comments(text):
        return Formatted(None, (_left_alone(path),))
    return Formatted(current)


def _left_alone(path: str) -> Diagnostic:
    message = "this file cannot be formatted without changing what it says"
    return Diagnostic(Severity.WARNING, "FMT101", message, Mark(path), "it is left as it is")


def _pass(text: str, path: str) -> str:
    text = text.replace("\r\n", "\n")
    text = "\n".join(line.rstrip(" \t") for line in text.split("\n")) if _is_plain(text) else text
    text = align_comments(reorder(text, parse(text, path)[0]))
    head, body = _split_head(text)
    yaml = YAML(typ="rt")
    yaml.Resolver = _Words
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    values = list(yaml.load_all(body))
    yaml.explicit_start = body.startswith("---") or None
    stream = io.StringIO()
    yaml.dump_all(values, stream) if len(values) > 1 else yaml.dump(values[0], stream)
    made = re.sub(r"\n{3,}", "\n\n", stream.getvalue()) if _is_plain(body) else stream.getvalue()
    return head + made.strip("\n") + "\n"


def _is_plain(text: str) -> bool:
    """Whether no text runs over several lines, so that spaces at line ends mean nothing."""
    return re.search(r"[|>][-+0-9]*\s*(#.*)?$", text, re.MULTILINE) is None and '"' not in text


def _split_head(text: str) -> tuple[str, str]:
    """Part the comments at the very top, the modeline among them, from the rest."""
    lines = text.splitlines(keepends=True)
    count = 0
    while count < len(lines) and (lines[count].startswith("#") or not lines[count].strip()):
        count += 1
    return "".join(lines[:count]).lstrip("\n"), "".join(lines[count:])


def _comments(text: str) -> Counter[str]:
    return Counter(
        match[0].rstrip() for line in text.splitlines() if (match := _COMMENT.search(line))
    )
