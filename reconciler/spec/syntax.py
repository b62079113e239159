"""libyaml's complaints in words that help. Not here: limits (`parse`)."""

from __future__ import annotations

from typing import Final

import yaml

from reconciler.diagnostics import Diagnostic, Mark, Severity

# What libyaml says (the beginning of it) -> what we say, and what to do.
_WORDS: Final = (
    (
        "mapping values are not allowed",
        "a `:` stands where no key can be",
        "put texts that contain `: ` in quotes, and check the indentation",
    ),
    ("could not find expected ':'", "a key without `:`", "check this line and the one before it"),
    (
        "did not find expected key",
        "this line does not fit the mapping around it",
        "check the indentation and the quotes",
    ),
    (
        "did not find expected '-' indicator",
        "this line does not fit the list around it",
        "each item begins with `- ` in the same column",
    ),
    (
        "did not find expected ',' or ']'",
        "a list in brackets is not closed",
        "end it with `]`, and separate its items by commas",
    ),
    (
        "did not find expected ',' or '}'",
        "a mapping in braces is not closed",
        "end it with `}`, and separate its fields by commas",
    ),
    ("did not find expected node content", "a value is missing here", None),
    (
        "did not find expected <document start>",
        "this cannot follow what stands before it",
        "separate documents by a line ---",
    ),
    ("found unexpected end of stream", "a quote is not closed", "end the text with its quote"),
    ("found unexpected document indicator", "a quote is not closed before ---", None),
    ("found unknown escape character", "this is not an escape of YAML", "write \\\\ for \\"),
    ("did not find expected hexdecimal number", "this escape lacks hexadecimal digits", None),
    (
        "found invalid Unicode character escape code",
        "this escape is not a character",
        "half of a pair of surrogates means nothing",
    ),
    ("block sequence entries are not allowed", "a list item cannot stand here", None),
    ("block mapping keys are not allowed", "a key cannot stand here", None),
)
_TAB: Final = ("found a tab character", "found character '\\t'")


def syntax_error(error: yaml.YAMLError, text: str, path: str) -> Diagnostic:
    """Turn libyaml's *error* about *text* into a diagnostic."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Diagnostic(Severity.ERROR, "YML101", "this is not YAML", Mark(path))
    at = error.problem_mark or error.context_mark
    mark = Mark(path, at.line + 1, at.column + 1) if at is not None else Mark(path)
    problem = error.problem or error.context or "not YAML"
    character = _character(text, mark)
    if character == "\t" or problem.startswith(_TAB):
        message = "a tab stands where YAML wants spaces"
        return Diagnostic(Severity.ERROR, "YML108", message, mark, "indent with spaces")
    if problem.startswith("found character that cannot start any token"):
        message = f"a text cannot begin with {character}"
        return Diagnostic(Severity.ERROR, "YML101", message, mark, "put the text in quotes")
    for start, message, hint in _WORDS:
        if problem.startswith(start):
            return Diagnostic(Severity.ERROR, "YML101", message, mark, hint)
    return Diagnostic(Severity.ERROR, "YML101", f"this is not YAML: {problem}", mark)


def _character(text: str, mark: Mark) -> str:
    lines = text.split("\n")
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    return line[mark.column - 1] if mark.column <= len(line) else ""
