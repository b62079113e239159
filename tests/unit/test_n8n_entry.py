"""What an answer of a managed entry says: a run began, none did, or look it up."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx
import pytest

from reconciler.n8n.answers import Answer
from reconciler.n8n.client import Limits
from reconciler.n8n.entry import Entry, NotStarted, Reply, Started, StartUnknown, judge
from reconciler.n8n.location import locate
from reconciler.workflow.entry import ENTRY_HEADER

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOT_REGISTERED = {"code": 404, "message": 'The requested webhook "POST a1" is not registered.'}


def answer(status: int, content: object, **headers: str) -> Answer:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answer(status, headers, data)


def test_the_fixed_answer_means_that_a_run_began() -> None:
    assert judge(answer(200, {"message": "Workflow was started"}), NOW) == Started()


@pytest.mark.parametrize("named", ["17", 17, "order-77"])
def test_a_workflow_that_answers_with_an_id_names_no_run(named: object) -> None:
    with pytest.raises(StartUnknown) as caught:
        judge(answer(200, {"executionId": named}), NOW)
    assert caught.value.answer is not None
    assert json.loads(caught.value.answer.content) == {"executionId": named}


@pytest.mark.parametrize(
    "status, content, retryable, unreachable",
    [
        (404, NOT_REGISTERED, True, False),
        (403, b"Authorization data is wrong!", False, False),
        (500, b"No authentication data defined on node!", True, False),
        (413, {"message": "request entity too large"}, False, False),
        (422, {"code": 422, "message": "Failed to parse request body"}, False, False),
        (503, b"<html>n8n is starting up. Please wait</html>", True, True),
    ],
)
def test_what_n8n_says_itself_is_certain(
    status: int, content: object, retryable: bool, unreachable: bool
) -> None:
    with pytest.raises(NotStarted) as caught:
        judge(answer(status, content), NOW)
    assert (caught.value.retryable, caught.value.unreachable) == (retryable, unreachable)


@pytest.mark.parametrize(
    "status, content, retryable, unreachable",
    [
        (200, b"<html>Sign in</html>", True, False),
        (201, {"made": True}, True, False),
        (302, b"", True, False),
        (400, {"message": "no such customer"}, False, False),
        (403, b"you may not", False, False),
        (404, {"message": "no such order"}, False, False),
        (429, {"message": "too many"}, True, False),
        (500, {"message": "Error in workflow"}, True, False),
        (502, b"<html>Bad Gateway</html>", True, True),
        (504, b"", True, True),
    ],
)
def test_what_a_workflow_or_a_proxy_may_have_said_is_looked_up(
    status: int, content: object, retryable: bool, unreachable: bool
) -> None:
    given = answer(status, content)
    with pytest.raises(StartUnknown) as caught:
        judge(given, NOW)
    otherwise = caught.value.otherwise
    assert (otherwise.retryable, otherwise.unreachable) == (retryable, unreachable)
    said = None if b"Error in workflow" in given.content else Reply(status, {}, given.content)
    assert caught.value.answer == said


def test_a_wish_to_wait_is_kept() -> None:
    with pytest.raises(StartUnknown) as caught:
        judge(answer(429, {}, **{"retry-after": "7"}), NOW)
    assert caught.value.otherwise.retry_after == 7.0


def test_an_answer_without_end_is_not_kept() -> None:
    with pytest.raises(StartUnknown) as caught:
        judge(answer(201, b"x" * (2 * 1024 * 1024)), NOW)
    assert caught.value.answer is None


def test_a_reply_has_no_headers_of_the_connection() -> None:
    with pytest.raises(StartUnknown) as caught:
        judge(answer(201, b"made", connection="close", etag="7"), NOW)
    assert caught.value.answer == Reply(201, {"etag": "7"}, b"made")


class Broken(httpx.AsyncBaseTransport):
    """A server that fails in one way, and remembers what it got."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.headers: list[httpx.Headers] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.headers.append(request.headers)
        raise self.error


@pytest.mark.parametrize(
    "error, certain",
    [
        (httpx.ConnectError("refused"), True),
        (httpx.ConnectTimeout("slow"), True),
        (httpx.ReadTimeout("slow"), False),
        (httpx.ReadError("reset"), False),
        (httpx.RemoteProtocolError("hung up"), False),
        (httpx.WriteError("reset"), False),
    ],
)
async def test_only_a_call_that_never_left_is_certain_to_have_started_nothing(
    error: Exception, certain: bool
) -> None:
    transport = Broken(error)
    entry = Entry(locate("http://n8n"), Limits(), transport)
    with pytest.raises(NotStarted if certain else StartUnknown) as caught:
        await entry.post("a1", "hush", {"id": "x:1", "items": []}, 5, NOW)
    refused = caught.value
    if isinstance(refused, StartUnknown):
        assert refused.answer is None
        refused = refused.otherwise
    assert isinstance(refused, NotStarted)
    assert (refused.retryable, refused.unreachable) == (True, True)
    assert "hush" not in str(caught.value)
    assert len(transport.headers) == 1
    assert transport.headers[0][ENTRY_HEADER] == "hush"
    assert "X-N8N-API-KEY" not in transport.headers[0]
    await entry.aclose()
