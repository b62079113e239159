"""The daemon's log: one JSON object a line, or lines for people on a terminal.

`get_logger(name).info("claimed", count=3)`. What `bound(execution=...)` binds stands in every
line of the same task. Every line passes the one redaction point (`REDACTOR`). Before
`configure` nothing is written: commands tell people themselves. Not here: metrics.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Final, TextIO

from reconciler.log.redaction import REDACTOR, Redactor

__all__ = ["LEVELS", "REDACTOR", "Log", "Redactor", "bound", "configure", "get_logger"]

LEVELS: Final = ("debug", "info", "warning", "error")
_CONTROL: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))},
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}
_JSON_CONTROL: Final = {code: f"\\u{code:04x}" for code in _CONTROL if code >= 0x7F}
_COLOURS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31"}
# Libraries whose INFO lines say nothing new, or name addresses that only n8n and we should know.
_QUIET: Final = ("httpx", "httpcore", "psycopg", "watchfiles", "asyncio", "hypercorn.access")
_configured = False


class Log:
    """Writes lines under one name; cheap to make when a module is imported."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def debug(self, event: str, **fields: Any) -> None:
        """Tell what only somebody who looks for a fault wants to know."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Tell what happened."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Tell what somebody may have to look at."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Tell what somebody has to look at."""
        self._write("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """As `error`, with the traceback of the exception that is being handled."""
        self._write("error", event, {**fields, "exc_info": True})

    def _write(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if _configured:
            import structlog  # late: it takes longer than `reconciler --help` may

            getattr(structlog.get_logger(), level)(event, logger=self.name, **fields)


def get_logger(name: str) -> Log:
    """Give the log of the part *name*: one word, such as "worker"."""
    return Log(name)


def bound(**values: str | int | None) -> AbstractContextManager[object]:
    """Put *values* (execution, revision, organization, ...) into every line of this task."""
    from structlog.contextvars import bound_contextvars

    return bound_contextvars(**{name: value for name, value in values.items() if value is not None})


def configure(
    *,
    as_json: bool,
    level: str = "info",
    stream: TextIO | None = None,
    colour: bool = False,
    redactor: Redactor = REDACTOR,
) -> None:
    """Begin to write lines of *level* and above to *stream* (stderr if None)."""
    global _configured  # noqa: PLW0603 - like logging itself, once for the process
    import structlog

    out = sys.stderr if stream is None else stream
    render = _json_line if as_json else _Line(colour=colour)
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            _Redact(redactor),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _configured = True
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(capture=True)


class _Redact:
    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(
        self, _: Any, __: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        return {name: self._redactor.field(name, value) for name, value in event.items()}


_FIRST: Final = ("at", "level", "logger", "event")


def _json_line(_: Any, __: str, event: Mapping[str, Any]) -> str:
    ordered = {name: event[name] for name in _FIRST if name in event}
    ordered |= {name: value for name, value in event.items() if name not in ordered}
    return json.dumps(ordered, ensure_ascii=False, default=str, separators=(",", ":")).translate(
        _JSON_CONTROL
    )


class _Line:
    """Renders a line for people; text from outside can't steer their terminal."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, _: Any, __: str, event: Mapping[str, Any]) -> str:
        rest = {name: value for name, value in event.items() if name not in _FIRST}
        trace = rest.pop("exception", None)
        level = str(event.get("level", ""))
        word = f"{level:<7}"
        if self._colour:
            word = f"\x1b[{_COLOURS.get(level, '0')}m{word}\x1b[0m"
        time = str(event.get("at", ""))[11:19]
        head = f"{time} {word} {event.get('logger', '')}: {_safe(event.get('event', ''))}"
        line = " ".join([head, *(f"{_safe(name)}={_shown(value)}" for name, value in rest.items())])
        if trace is None:
            return line
        return "\n".join([line, *("  " + _safe(part) for part in str(trace).splitlines())])


def _shown(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        value = ",".join(value)
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return _safe(json.dumps(text, ensure_ascii=False) if " " in text or not text else text)


def _safe(text: object) -> str:
    return str(text).translate(_CONTROL)


class _Bridge(logging.Handler):
    """Hands on what libraries say through `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        import structlog

        fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        level = "error" if record.levelno >= logging.ERROR else record.levelname.lower()
        write = getattr(structlog.get_logger(), level if level in LEVELS else "info")
        write(record.getMessage(), logger=record.name, **fields)
