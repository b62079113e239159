"""`run`, `executions`, `events`, `token`, `why`: they talk to the database and need no daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.acceptance.conftest import Stage

EVENT = {"name": "scans", "type": "DOCUMENT_UPLOADED", "filters": {"documentType": "invoice"}}


@pytest.fixture
def stage(on_fake: Stage) -> Stage:
    """An applied organization with two automations."""
    repository = on_fake.repository.organization()
    repository.automation("greet", triggers=[EVENT]).automation("other")
    on_fake.shell.apply()
    return on_fake


def json_of(stage: Stage, *words: str) -> Any:
    """Run a command and give its one document."""
    return stage.shell.ok(*words, "-o", "json").document


def one_cancelled(stage: Stage, id_: str) -> Any:
    """Cancel one execution and give what became of it."""
    [outcome] = json_of(stage, "executions", "cancel", id_)["executions"]
    return outcome


def ended(stage: Stage, id_: str, status: str, **columns: Any) -> None:
    """End an execution as a worker does."""
    names = "".join(f', "{name}" = %s' for name in columns)
    stage.rows(
        f'UPDATE workflow_executions SET status = %s, "completedAt" = "createdAt" + '
        f"interval '1 s', \"executionTime\" = 1000{names} WHERE id = %s",
        status,
        *columns.values(),
        id_,
    )


def test_a_key_is_not_good_for_another_input(stage: Stage) -> None:
    first = json_of(stage, "run", "greet", "--input", '{"a": 1}', "--key", "k1")["execution_id"]

    for words in (["--input", '{"a": 2}'], [], ["--wait"]):
        done = stage.shell.run("run", "greet", "--key", "k1", *words)
        assert (6, "") == (done.code, done.out)
        assert f'the key "k1" was used for another input or trigger: {first}' in done.err
    [listed] = json_of(stage, "executions", "list")["executions"]
    assert first == listed["id"]


def test_a_key_that_the_api_would_refuse_is_refused_and_nothing_is_stored(stage: Stage) -> None:
    for words in (("run", "greet", "--key"), ("events", "send", "DOCUMENT_UPLOADED", "--id")):
        for given in ("", "x y", "x\n", "x\x1b", "\u00e9", "x" * 201):
            done = stage.shell.run(*words, given)
            assert (64, "") == (done.code, done.out), done.said
            assert f"{words[-1]} takes 1 to 200 characters" in done.err
            assert ("is a variable not set?" in done.err) is (not given)
    assert [] == json_of(stage, "executions", "list")["executions"]
    assert [] == json_of(stage, "events", "list")["events"]


def test_the_beginning_of_an_id_is_enough(stage: Stage) -> None:
    id_ = json_of(stage, "run", "greet")["execution_id"]
    stage.rows("UPDATE workflow_executions SET id = 'abcdefgh1' || substr(id, 10)")
    id_ = f"abcdefgh1{id_[9:]}"

    assert id_ == json_of(stage, "executions", "show", id_[:10])["id"]
    assert id_ == json_of(stage, "why", id_[:10])["execution_id"]
    assert id_ == one_cancelled(stage, id_[:10])["execution_id"]
    assert id_ == json_of(stage, "executions", "retry", id_[:10])["retry_of"]
    watched = stage.shell.run("executions", "watch", id_[:10])
    assert (1, True) == (watched.code, id_ in watched.out)

    for word in ("abcde", "abcdefg2", id_ + "x", "ABCDEFGH"):
        done = stage.shell.run("executions", "show", word)
        assert (64, True) == (done.code, "there is no execution" in done.err)
    stage.rows("UPDATE workflow_executions SET id = 'abcdefgh2' WHERE id <> %s", id_)
    for words in (("executions", "cancel"), ("executions", "watch"), ("why",)):
        done = stage.shell.run(*words, "abcdefgh")
        assert (64, True) == (done.code, "several executions begin with" in done.err)


def test_a_run_is_asked_for_and_seen_everywhere(stage: Stage) -> None:
    asked = json_of(stage, "run", "greet", "--input", '{"a": 1}', "--key", "k1")
    again = json_of(stage, "run", "acme/greet", "--input", '{"a": 1.0}', "--key", "k1")

    assert (False, True) == (asked["duplicate"], again["duplicate"])
    assert asked["execution_id"] == again["execution_id"]
    [listed] = json_of(stage, "executions", "list")["executions"]
    assert (asked["execution_id"], "QUEUED", "manual", "acme", "greet") == (
        listed["id"],
        listed["status"],
        listed["cause"],
        listed["organization"],
        listed["automation"],
    )
    shown = json_of(stage, "executions", "show", listed["id"])
    assert {"a": 1} == shown["trigger_data"]
    text = stage.shell.ok("executions", "list", "--automation", "greet").out
    assert listed["id"] in text
    assert "acme/greet" in text
    assert "no executions" in stage.shell.ok("executions", "list", "--automation", "other").err
    assert "no worker has taken it" in stage.shell.ok("why", listed["id"]).out


@pytest.mark.parametrize(
    "status, code", [("SUCCESS", 0), ("FAILED", 1), ("CANCELLED", 1), ("TIMEOUT", 8)]
)
def test_the_exit_code_tells_how_it_ended(stage: Stage, status: str, code: int) -> None:
    id_ = json_of(stage, "run", "greet", "--key", "k")["execution_id"]
    ended(stage, id_, status, errorMessage="the reason", outputData='[{"b": 2}]')

    done = stage.shell.run("run", "greet", "--key", "k", "--wait", "--timeout", "5s")
    watched = stage.shell.run("executions", "watch", id_)

    assert (code, code) == (done.code, watched.code), done.said
    assert status in done.out
    assert [["QUEUED"], [status]] == [line.split()[2:3] for line in watched.out.splitlines()]
    assert "the reason" in stage.shell.ok("why", id_).out or status == "SUCCESS"


def test_waiting_ends_in_time_when_nobody_works(stage: Stage) -> None:
    done = stage.shell.run("run", "greet", "--wait", "--timeout", "300ms")
    assert 8 == done.code, done.said
    assert "it has not ended" in done.err

    watched = stage.shell.run("executions", "watch", "--for", "300ms", "-o", "json")
    assert 0 == watched.code
    assert ["QUEUED"] == [step["status"] for step in watched.document["steps"]]
    lines = stage.shell.ok("executions", "watch", "--for", "300ms", "--lines").out.splitlines()
    assert ["QUEUED"] == [json.loads(line)["status"] for line in lines]


def test_cancel_and_retry(stage: Stage) -> None:
    id_ = json_of(stage, "run", "greet", "--input", '[{"a": 1}, {"a": 2}]')["execution_id"]

    early = stage.shell.run("executions", "retry", id_)
    cancelled = one_cancelled(stage, id_)
    late = stage.shell.run("executions", "cancel", id_)
    again = json_of(stage, "executions", "retry", id_)

    assert (6, "cancelled", 6) == (early.code, cancelled["outcome"], late.code)
    shown = json_of(stage, "executions", "show", again["execution_id"])
    assert ([{"a": 1}, {"a": 2}], id_) == (shown["trigger_data"], shown["retry_of"])


def test_several_are_cancelled_at_once_or_none_when_one_is_unknown(stage: Stage) -> None:
    ids = [json_of(stage, "run", "greet")["execution_id"] for _ in range(3)]

    unknown = stage.shell.run("executions", "cancel", ids[0], "nope")
    assert (64, "") == (unknown.code, unknown.out)
    done = stage.shell.ok("executions", "cancel", *ids[:2], ids[0])
    assert [f"{id_} is cancelled" for id_ in ids[:2]] == done.out.splitlines()

    some_late = stage.shell.run("executions", "cancel", *ids, "-o", "json")
    outcomes = [one["outcome"] for one in some_late.document["executions"]]
    assert (6, ["ended", "ended", "cancelled"]) == (some_late.code, outcomes)
    assert f"{ids[0]}, {ids[1]} have ended already" in some_late.err


def test_all_that_filters_choose_are_cancelled_and_nothing_else(stage: Stage) -> None:
    for name in ("greet", "greet", "greet", "other"):
        stage.shell.ok("run", name)
    [old, running, *_] = json_of(stage, "executions", "list", "--automation", "greet")["executions"]
    ended(stage, old["id"], "SUCCESS")
    stage.rows("UPDATE workflow_executions SET status = 'RUNNING' WHERE id = %s", running["id"])
    words = ("executions", "cancel", "--automation", "greet")

    nobody = stage.shell.run(*words)
    assert (5, "") == (nobody.code, nobody.out), nobody.said
    assert "give --yes" in nobody.err
    for wrong in (("executions", "cancel"), (*words, old["id"])):
        done = stage.shell.run(*wrong)
        assert (64, True) == (done.code, "choose them with filters" in done.err)
    assert {"asked": 0, "cancelled": 0} == tally(stage, *words, "--until", "2020-01-01")
    assert {"asked": 1, "cancelled": 1} == tally(stage, *words)
    assert {"asked": 0, "cancelled": 0} == tally(stage, *words)

    statuses = """SELECT e.status::text, count(*), count("cancelRequestedAt") FROM
        workflow_executions AS e GROUP BY 1 ORDER BY 1"""
    assert [("CANCELLED", 1, 1), ("QUEUED", 1, 0), ("RUNNING", 1, 1), ("SUCCESS", 1, 0)] == (
        stage.rows(statuses)
    )
    assert "nothing that waits or runs" in stage.shell.ok(*words, "--yes").err


def tally(stage: Stage, *words: str) -> Any:
    """Cancel what filters choose, and give how many it were."""
    found = json_of(stage, *words, "--yes")
    return {name: found[name] for name in ("asked", "cancelled")}


def test_what_is_wrong_is_said_with_its_exit_code(stage: Stage) -> None:
    for words, code, text in (
        (("run", "gret"), 64, 'did you mean "acme/greet"?'),
        (("run", "greet", "--input", "{"), 64, "--input is not JSON"),
        (("run", "greet", "--input", "[1]"), 64, "a list of objects"),
        (("run", "greet", "--input", "@missing.json"), 64, "can't read missing.json"),
        (("run", "greet", "--trigger", "nope"), 64, 'no active trigger "nope": scans'),
        (("run", "greet", "--timeout", "soon"), 64, "is not a duration"),
        (("status", "--kind", "Automaton"), 64, "is not one of 'Automation'"),
        (("executions", "show", "nope"), 64, "there is no execution"),
        (("executions", "watch", "nope"), 64, "there is no execution"),
        (("executions", "list", "--since", "soon"), 64, "neither a time"),
        (("executions", "list", "--cursor", "x"), 64, "cursor"),
        (("executions", "list", "--organization", "nope"), 64, "there are: acme"),
        (("events", "send", "nonsense"), 64, "neither a trigger type"),
        (("events", "send", "SCHEDULE"), 64, "not started by events"),
        (("events", "send", "a.b", "--data", "[]"), 64, "--data is an object"),
        (("events", "show", "nope"), 64, "there is no event"),
        (("events", "retry", "nope"), 64, "there is no event"),
        (("token", "create", "x", "--role", "CLIENT", "--scope", "events:send"), 64, "does not allow"),
        (("token", "create", "x", "--expires", "500d"), 64, "at most 365 days"),
        (("token", "create", "x", "--user", "stranger@x.example"), 64, "is not a member"),
        (("token", "revoke", "nope"), 64, "there is no token"),
        (("why", "nope"), 64, "neither an execution nor"),
        (("why", "acme/Automation/nope"), 64, "nothing is known"),
        (("why", "a/b/c/d"), 64, "a/b/c/d"),
        (("why", "acme/nope"), 64, "give an address such as"),
        (("why", "other/greet"), 64, "neither an execution nor"),
        (("why", "acme/"), 64, "neither an execution nor"),
        (("why", "acme//greet"), 64, "give an address such as"),
    ):  # fmt: skip
        done = stage.shell.run(*words)
        assert (code, True) == (done.code, text in done.err), (words, done.said)
        assert "Traceback" not in done.err


def test_what_is_switched_off_is_not_run(stage: Stage) -> None:
    stage.repository.automation("greet", active=False)
    stage.shell.apply()

    done = stage.shell.run("run", "greet")

    assert (6, True) == (done.code, "acme/greet is switched off" in done.err), done.said


def test_an_event_is_sent_seen_and_dispatched_again(stage: Stage) -> None:
    data = '{"documentType": "invoice"}'
    sent = json_of(stage, "events", "send", "DOCUMENT_UPLOADED", "--data", data, "--id", "e1")
    again = json_of(stage, "events", "send", "document.uploaded", "--data", data, "--id", "e1")
    other = stage.shell.run("events", "send", "DOCUMENT_UPLOADED", "--id", "e1")
    filtered = stage.shell.ok("events", "send", "DOCUMENT_UPLOADED", "--id", "e2")

    assert (False, True, 6) == (sent["duplicate"], again["duplicate"], other.code)
    assert ["greet"] == [one["automation"].split("/")[1] for one in sent["executions"]]
    assert "it started nothing" in filtered.err
    listed = json_of(stage, "events", "list")["events"]
    assert [("e2", 0), ("e1", 1)] == [(one["id"], one["executions"]) for one in listed]
    assert {"documentType": "invoice"} == json_of(stage, "events", "show", "e1")["data"]

    _repair(stage)


def _repair(stage: Stage) -> None:
    """A filter was broken by hand; the event fails, is seen, and is dispatched after the repair."""
    filters = 'UPDATE workflow_triggers SET "eventFilters" = %s'
    stage.rows(filters, '{"documentType": {"near": 1}}')
    failed = stage.shell.ok("events", "send", "DOCUMENT_UPLOADED", "--id", "e3")
    assert "warning: acme/greet, trigger scans: the filters are wrong" in failed.err
    [listed] = json_of(stage, "events", "list", "--state", "failed")["events"]
    assert ("e3", 0) == (listed["id"], listed["executions"])

    stage.rows(
        'UPDATE workflow_triggers SET "eventFilters" = \'{"any": [{"a": null}, {"b": {"exists": false}}]}\''
    )
    done = json_of(stage, "events", "retry", "e3")

    assert ("dispatched", 1, None) == (done["state"], done["executions"], done["error"])
    assert 2 == stage.value("SELECT count(*) FROM workflow_executions")


def test_a_token_is_shown_once_listed_and_revoked(stage: Stage) -> None:
    made = json_of(stage, "token", "create", "ci", "--role", "CLIENT", "--expires", "1h")
    mine = stage.shell.ok(
        "token", "create", "mine", "--user", "ops@acme.example", "--expires", "never"
    )

    text = made["token"]
    assert text.startswith(f"rec_api_{made['id']}_")
    assert mine.out.startswith("rec_api_")
    assert "this is shown once" in mine.err
    listed = stage.shell.ok("token", "list")
    assert text not in listed.out
    assert text.rsplit("_", 2)[1] not in json.dumps(json_of(stage, "token", "list"))
    hashes = stage.rows("SELECT secret_hash::text, name FROM reconciler.api_tokens")
    assert all(text not in str(row) for row in hashes)

    assert [made["id"]] == json_of(stage, "token", "revoke", "ci")["revoked"]
    states = {one["name"]: one["state"] for one in json_of(stage, "token", "list")["tokens"]}
    assert {"ci": "revoked", "mine": "valid"} == states


def test_why_tells_of_holds_breakers_and_what_was_done_last(stage: Stage) -> None:
    id_ = json_of(stage, "run", "greet")["execution_id"]
    stage.rows(
        "UPDATE reconciler.automation_runtime SET breaker = 'OPEN', consecutive_failures = 5, "
        "breaker_until = clock_timestamp() + interval '1 min' WHERE automation_id = "
        '(SELECT "automationId" FROM workflow_executions)'
    )
    stage.shell.ok(
        "hold",
        "acme/Automation/greet",
        "--what",
        "fire",
        "--until",
        "2h",
        "--reason",
        "counting stock",
    )

    waits = stage.shell.ok("why", id_).out
    resource = stage.shell.ok("why", "acme/Automation/greet").out

    for said in (waits, resource):
        assert "counting stock" in said
        assert "failed again and again and is paused until" in said
    assert "create (new in the specs) done" in resource
    assert resource == stage.shell.ok("why", "greet").out
    assert resource == stage.shell.ok("why", "acme/greet").out
    assert 1 <= len(json_of(stage, "why", "acme/Trigger/greet.scans")["said"])


def test_status_says_that_an_automation_does_not_work_while_its_breaker_is_not_closed(
    stage: Stage,
) -> None:
    id_ = json_of(stage, "run", "greet")["execution_id"]

    def seen(breaker: str) -> tuple[str, str, str]:
        stage.rows(
            "UPDATE reconciler.automation_runtime SET breaker = %s, "
            "breaker_until = '2030-01-02 03:04:05Z' WHERE automation_id = "
            '(SELECT "automationId" FROM workflow_executions WHERE id = %s)',
            breaker,
            id_,
        )
        listed = json_of(stage, "status", "--kind", "Automation")["resources"]
        greet, other = listed
        assert "Healthy" == other["health"]
        return greet["sync"], greet["health"], greet["reason"]

    assert ("Synced", "Healthy", "in sync") == seen("CLOSED")
    probed = seen("HALF_OPEN")
    assert ("Degraded", True) == (probed[1], "one run probes" in probed[2])
    held = ("hold", "acme/Automation/greet", "--what", "fire", "--until", "2h", "--reason", "x")
    stage.shell.ok(*held)
    sync, health, reason = seen("OPEN")
    assert ("Synced", "Degraded") == (sync, health), "trouble goes before a hold"
    assert "failed again and again: paused until 2030-01-02 03:04:05 UTC" in reason
