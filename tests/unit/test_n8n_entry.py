"""What an answer of a managed entry says: a run began, none did, or look it up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import pytest

from reconciler.n8n.answers import Answer
from reconciler.n8n.client import Limits
from reconciler.n8n.entry import Entry, NotStarted, Reply, Started, StartUnknown, judge
from reconciler.n8n.location import locate
from reconciler.workflow.entry import ENTRY_HEADER

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = {"message": "Workflow was started"}
MARK = {"content-security-policy": "sandbox allow-forms"}
NOT_REGISTERED = {"code": 404, "message": 'The requested webhook "POST a1" is not registered.'}


def answer(status: int, content: object, **headers: str) -> Answer:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answer(status, headers, data)


@pytest.mark.parametrize("marks", [True, False])
def test_the_fixed_answer_means_that_a_run_began(marks: bool) -> None:
    assert judge(answer(200, STARTED), NOW, marks=marks) == Started()


@pytest.mark.parametrize("named", ["17", 17, "order-77"])
def test_a_workflow_that_answers_with_an_id_names_no_run(named: object) -> None:
    with pytest.raises(StartUnknown) as caught:
        judge(answer(200, {"executionId": named}), NOW, marks=True)
    assert caught.value.answer is not None
    assert json.loads(caught.value.answer.content) == {"executionId": named}


OWN_WORDS = pytest.mark.parametrize(
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


@OWN_WORDS
def test_what_n8n_says_itself_is_certain(
    status: int, content: object, retryable: bool, unreachable: bool
) -> None:
    with pytest.raises(NotStarted) as caught:
        judge(answer(status, content), NOW, marks=True)
    assert (caught.value.retryable, caught.value.unreachable) == (retryable, unreachable)


@OWN_WORDS
@pytest.mark.parametrize("marks, mark", [(True, MARK), (False, MARK), (False, {})])
def test_the_same_words_of_a_workflow_are_looked_up(
    status: int,
    content: object,
    retryable: bool,
    unreachable: bool,
    marks: bool,
    mark: dict[str, str],
) -> None:
    given = answer(status, content, **mark)
    with pytest.raises(StartUnknown) as caught:
        judge(given, NOW, marks=marks)
    assert caught.value.otherwise.retryable == retryable or mark
    assert caught.value.otherwise.unreachable == unreachable
    assert caught.value.answer == Reply(status, {}, given.content)


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
        judge(given, NOW, marks=True)
    otherwise = caught.value.otherwise
    assert (otherwise.retryable, otherwise.unreachable) == (retryable, unreachable)
    said = None if b"Error in workflow" in given.content else Reply(status, {}, given.content)
    assert caught.value.answer == said


def test_a_wish_to_wait_is_kept() -> None:
    with pytest.raises(StartUnknown) as caught:
        judge(answer(429, {}, **{"retry-after": "7"}), NOW, marks=True)
    assert caught.value.otherwise.retry_after == 7.0


def test_an_answer_without_end_is_not_kept() -> None:
    with pytest.raises(StartUnknown) as caught:
        judge(answer(201, b"x" * (2 * 1024 * 1024)), NOW, marks=True)
    assert caught.value.answer is None


def test_a_reply_has_no_headers_of_the_connection() -> None:
    with pytest.raises(StartUnknown) as caught:
        judge(answer(201, b"made", connection="close", etag="7"), NOW, marks=True)
    assert caught.value.answer == Reply(201, {"etag": "7"}, b"made")


@pytest.mark.parametrize(
    "before, believed",
    [
        ([], False),
        ([(200, STARTED, MARK)], True),
        ([(201, b"made", MARK)], True),
        ([(200, STARTED, {})], False),
        ([(200, STARTED, MARK), (502, b"", {})], True),
        ([(200, STARTED, MARK), (200, STARTED, {})], False),  # it was switched off
        ([(200, STARTED, MARK), (201, b"made", {})], False),
    ],
)
async def test_refusals_are_believed_of_an_n8n_that_marks_what_runs_answer(
    before: Sequence[tuple[int, object, dict[str, str]]], believed: bool
) -> None:
    answers = [answer(status, content, **more) for status, content, more in before]
    answers.append(answer(404, NOT_REGISTERED))
    sent = iter(answers)

    def serve(request: httpx.Request) -> httpx.Response:
        one = next(sent)
        return httpx.Response(one.status, headers=dict(one.headers), content=one.content)

    entry = Entry(locate("http://n8n"), Limits(), httpx.MockTransport(serve))
    for _ in before:
        with suppress(StartUnknown):
            await entry.post("a1", "hush", {}, 5, NOW)
    with pytest.raises(NotStarted if believed else StartUnknown):
        await entry.post("a1", "hush", {}, 5, NOW)
    await entry.aclose()


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
