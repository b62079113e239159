"""Look for what a workflow from elsewhere could do to you: code, commands, files, plain secrets.

A finding is a warning for people and for an organization's policy; none is a
proof. A secret's value never appears in a finding. Not here: whether the
workflow works (`lint`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from reconciler.resource.payload import Value
from reconciler.workflow.finding import Finding, Notes, Path
from reconciler.workflow.normal import Normal

_BASE = "n8n-nodes-base."
_CHAIN = "@n8n/n8n-nodes-langchain."
_CODE = "RISK001"
_KINDS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            f"{_BASE}code",
            f"{_BASE}function",
            f"{_BASE}functionItem",
            f"{_BASE}aiTransform",
            f"{_CHAIN}code",
            f"{_CHAIN}toolCode",
        ),
        (_CODE, "runs code of its own"),
    ),
    f"{_BASE}executeCommand": ("RISK002", "runs commands on n8n's machine"),
    f"{_BASE}ssh": ("RISK003", "runs commands on other machines"),
    **dict.fromkeys(
        (
            f"{_BASE}readWriteFile",
            f"{_BASE}readBinaryFile",
            f"{_BASE}readBinaryFiles",
            f"{_BASE}writeBinaryFile",
            f"{_BASE}localFileTrigger",
        ),
        ("RISK004", "reads or writes files on n8n's machine"),
    ),
    f"{_BASE}git": ("RISK005", "works on git repositories on n8n's machine"),
    f"{_BASE}n8n": ("RISK006", "changes n8n itself through its API"),
}
_TELLING = (
    r"(?:pass(?:word|wd|phrase)|secret|api[-_ ]?key|access[-_ ]?key|private[-_ ]?key"
    r"|(?:access|auth|bearer|refresh|api)[-_ ]?token|authorization|credential)"
)
_SECRET_KEY = re.compile(rf"(?i)(?:^|[-_.\s]|x-){_TELLING}s?$|^token$|{_TELLING}$")
_SHAPES: Mapping[str, re.Pattern[str]] = {
    "a bearer token": re.compile(r"(?i)\bbearer\s+(?!\{\{|\$)[A-Za-z0-9._~+/=-]{12,}"),
    "a basic login": re.compile(
        r"\b[Bb]asic\s+(?=\S*[0-9=])(?=\S*[A-Z])[A-Za-z0-9+/]{12,}={0,2}(?![\w{])"
    ),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "a login inside an address": re.compile(
        r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@{}]{1,64}:[^\s/@{}]{3,128}@"
    ),
    "a key in an address": re.compile(
        r"(?i)[?&](?:api_?key|access_?token|token|secret|password)=[A-Za-z0-9._~-]{8,}"
    ),
    "a known kind of key": re.compile(
        r"\b(?:sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|xox[abpors]-[A-Za-z0-9-]{10,}"
        r"|AKIA[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.)"
    ),
}
_PLACEHOLDER = re.compile(
    r"(?i)^(?:[<\[{].*[>\]}]|[x*.\s-]+|.*\b(?:your|my|insert|enter|replace|change[-_ ]?me|example"
    r"|placeholder|here|dummy)\b.*|your.*|test|none|null|true|false|undefined)$"
)
_MIN_SECRET = 8
_MIN_SHAPE = 11  # the shortest of the shapes: ab://c:def@
_MAX_SCANNED = 200_000  # characters of one text; longer ones are looked at from both ends


def scan(normal: Normal) -> tuple[Finding, ...]:
    """Flag risky nodes and what looks like a secret; findings are warnings or notes."""
    notes = Notes()
    for name, node in normal.nodes.items():
        kind = str(node.get("type"))
        code, what = _KINDS.get(kind) or _KINDS.get(kind.removesuffix("Tool")) or ("", "")
        if code:
            # Code nodes are everyday work: a note; what reaches outside n8n is a warning.
            remark = notes.note if code == _CODE else notes.warn
            remark(code, normal.at(name, "type"), f'the node "{name}" {what}')
        for path, what in _secrets(node.get("parameters"), ("parameters",)):
            notes.warn(
                "RISK010",
                normal.at(name, *path),
                f'the node "{name}" seems to hold {what}',
                "put it into a Credential, and revoke it if it was real",
            )
    return tuple(notes.findings)


def _secrets(value: Value, path: Path) -> Iterator[tuple[Path, str]]:
    match value:
        case str():
            if len(value) < _MIN_SECRET:
                return
            if what := _shape(value):
                yield path, what
            elif isinstance(path[-1], str) and _SECRET_KEY.search(path[-1]) and _is_secret(value):
                yield path, f"a secret in {path[-1]}"
        case dict():
            named = value.get("name") or value.get("key")
            held = value.get("value")
            if (
                isinstance(named, str)
                and isinstance(held, str)
                and _SECRET_KEY.search(named)
                and _is_secret(held)
                and not _shape(held)
            ):
                yield (*path, "value"), f"a secret in {named}"
            for key, item in value.items():
                yield from _secrets(item, (*path, key))
        case list():
            for at, item in enumerate(value):
                yield from _secrets(item, (*path, at))


def _shape(text: str) -> str | None:
    if len(text) < _MIN_SHAPE:
        return None
    if len(text) > _MAX_SCANNED:
        text = text[: _MAX_SCANNED // 2] + "\n" + text[-_MAX_SCANNED // 2 :]
    for what, pattern in _SHAPES.items():
        found = pattern.search(text)
        if found and not _PLACEHOLDER.match(_tail(found[0])):
            return what
    return None


def _tail(text: str) -> str:
    return re.split(r"[\s=]+", text.strip("= "))[-1]


def _is_secret(text: str) -> bool:
    if len(text) < _MIN_SECRET or text.startswith("=") or "{{" in text:
        return False  # short, or made when it runs
    return not _PLACEHOLDER.match(text) and not re.search(r"\s", text.strip())
