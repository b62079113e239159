"""n8n is away, refuses, answers nonsense, hangs: the command says so, in n8n's words, and ends well."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.conftest import Stage
from tests.doubles.fake_n8n import FakeN8n
from tests.doubles.fake_n8n_faults import Fault, Trouble
from tests.doubles.fake_n8n_http import serve

ALWAYS = 1_000_000


def test_nobody_listens(on_fake: Stage) -> None:
    on_fake.repository.organization()

    done = on_fake.shell.run("plan", N8N_URL="http://127.0.0.1:9")

    assert 7 == done.code, done.said
    assert "http://127.0.0.1:9" in done.err
    assert "Traceback" not in done.err


def test_the_key_is_refused(on_fake: Stage) -> None:
    on_fake.repository.organization()

    done = on_fake.shell.run("plan", N8N_API_KEY="wrong")

    assert 7 == done.code, done.said
    assert "key" in done.err
    assert "wrong" not in done.err


@pytest.mark.parametrize(
    "trouble, words",
    [
        (Trouble.HTML, "not JSON"),
        (Trouble.ERROR, "Internal server error"),
        (Trouble.BUSY, "Too many requests"),
        (Trouble.STARTING, "starting"),
        (Trouble.BAD_GATEWAY, "502"),
        (Trouble.RESET, ""),
    ],
    ids=lambda value: value.name if isinstance(value, Trouble) else "",
)
def test_it_answers_nonsense_all_the_time(
    on_fake: Stage, fake: FakeN8n, trouble: Trouble, words: str
) -> None:
    on_fake.repository.organization().automation("greet")
    fake.faults.append(Fault(trouble=trouble, times=ALWAYS, retry_after="0"))

    done = on_fake.shell.run("apply", "-y")

    assert done.code in {1, 7}, done.said
    assert words in done.err, done.said
    assert "Traceback" not in done.err
    assert 0 == on_fake.value("SELECT count(*) FROM automations")


@pytest.mark.parametrize(
    "trouble", [Trouble.ERROR, Trouble.BUSY, Trouble.BAD_GATEWAY, Trouble.RESET, Trouble.STARTING]
)
def test_a_read_that_fails_once_is_read_again(
    on_fake: Stage, fake: FakeN8n, trouble: Trouble
) -> None:
    on_fake.repository.organization()
    fake.faults.append(Fault(trouble=trouble, retry_after="0"))

    assert 2 == on_fake.shell.run("plan").code


def test_it_says_when_to_come_back(on_fake: Stage, fake: FakeN8n) -> None:
    on_fake.repository.organization()
    fake.faults.append(Fault(trouble=Trouble.BUSY, retry_after="1"))
    begin = time.monotonic()

    assert 2 == on_fake.shell.run("plan").code

    assert time.monotonic() - begin >= 1


def test_it_hangs(on_fake: Stage, fake: FakeN8n) -> None:
    on_fake.repository.organization()
    fake.faults.append(Fault(trouble=Trouble.HANG, times=ALWAYS))
    begin = time.monotonic()

    done = on_fake.shell.run("plan", RECONCILER_N8N_TIMEOUT="0.3")

    assert done.code in {7, 8}, done.said
    assert time.monotonic() - begin < 20
    assert "Traceback" not in done.err


def test_status_without_n8n_tells_what_is_recorded(on_fake: Stage) -> None:
    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()

    done = on_fake.shell.ok("status", N8N_URL="http://127.0.0.1:9")

    assert "acme/Automation/greet" in done.out
    assert "Unknown" in done.out
    assert "127.0.0.1:9" in done.err


def test_it_is_killed_in_the_middle_of_an_apply(on_fake: Stage, fake: FakeN8n) -> None:
    names = [f"a{number}" for number in range(6)]
    on_fake.repository.organization()
    for name in names:
        on_fake.repository.automation(name)
    dying = FakeN8n()
    dying.faults.append(Fault(trouble=Trouble.RESET, writes=True, nth=4, times=ALWAYS))
    with serve(dying) as url:
        done = on_fake.shell.run("apply", "-y", N8N_URL=url, RECONCILER_N8N_TIMEOUT="1")
    assert done.code in {4, 7}, done.said
    assert "failed" in done.last
    assert "not attempted" in done.last

    dying.faults.clear()
    with serve(dying) as url:
        finished = on_fake.shell.run("apply", "-y", N8N_URL=url)
        again = on_fake.shell.run("plan", N8N_URL=url)

    assert (0, 0) == (finished.code, again.code), finished.said + again.said
    assert sorted(f"acme {name}" for name in names) == sorted(
        workflow.name for workflow in dying.state.workflows.values()
    )


def test_a_licensed_feature_is_refused_in_its_own_words(on_fake: Stage, fake: FakeN8n) -> None:
    words = "Your license does not allow for feat:variables"
    on_fake.repository.organization().automation("greet")
    on_fake.shell.apply()
    on_fake.repository.automation("greet", says="news")
    answer = 403, {"content-type": "application/json"}, f'{{"message":"{words}"}}'.encode()

    class Licence(Fault):
        """A write that needs a licence."""

        def answer(self) -> tuple[int, dict[str, str], bytes]:
            return answer

    fake.faults.append(Licence(trouble=Trouble.ERROR, writes=True, times=ALWAYS))
    done = on_fake.shell.run("apply", "-y")

    assert 4 == done.code, done.said
    assert words in done.err
    fake.faults.clear()
    assert 2 == on_fake.shell.run("plan").code
