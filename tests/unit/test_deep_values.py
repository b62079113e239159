"""Values that are nested deeper than Python goes: every way to show them shows a part."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.app.webhook_calls import Answer
from reconciler.cli import webhook
from reconciler.cli.execution_view import value
from reconciler.cli.output import document
from reconciler.cli.watching import _short
from reconciler.errors import DeadlineExceeded
from reconciler.resource.json_text import TOO_DEEP, json_text
from reconciler.web.answers import Document, refused, send_json


def nested(depth: int, innermost: Any = 1) -> Any:
    found = innermost
    for level in range(depth):
        found = {"a": found} if level % 2 else [found]
    return found


DEEP = {"output": nested(5000), "status": "SUCCESS"}


def test_a_text_is_that_of_json_and_only_what_is_too_deep_is_cut() -> None:
    assert json.dumps(nested(90), indent=1) == json_text(nested(90), indent=1)
    found = json.loads(json_text(DEEP))
    assert "SUCCESS" == found["status"]
    assert TOO_DEEP in json.dumps(found["output"])


def test_the_api_shows_what_it_can() -> None:
    found = json.loads(bytes(Document(DEEP).body))
    assert ("SUCCESS", True) == (found["status"], TOO_DEEP in json.dumps(found["output"]))


async def test_who_waits_gets_what_can_be_shown() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await send_json(send, 200, DEEP)

    assert "SUCCESS" == json.loads(sent[1]["body"])["status"]
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()


@pytest.mark.parametrize("depth", [900, 5000])
def test_the_command_line_shows_what_it_can(depth: int, capsys: pytest.CaptureFixture[str]) -> None:
    document({"output": nested(depth)})
    assert "[" in capsys.readouterr().out
    assert "more lines" in value(nested(depth))
    assert _short(nested(depth)).startswith('{"a": [')
    content = b'{"executionId": "x", "status": "SUCCESS", "output": ' + b"[" * depth + b"]" * depth
    webhook._show(Answer(url="u", status=200, headers={}, content=content + b"}"))
    assert "200" in capsys.readouterr().out


def test_a_database_that_takes_too_long_may_be_asked_again() -> None:
    answer = refused(DeadlineExceeded("the statement took too long"))
    assert (503, "unavailable", True) == (
        answer.status, answer.code, int(answer.headers["Retry-After"]) > 0,
    )  # fmt: skip
