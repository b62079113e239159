"""Binding: credentials and called workflows become one leaf each, and no gap goes unsaid."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.resource.address import Address
from reconciler.resource.payload import Ref
from reconciler.workflow.bind import ERROR_WORKFLOW, Bound, Call, bind, find_calls
from reconciler.workflow.normal import nodes_of, normalize
from tests.unit.workflow_samples import link, node, workflow

MAIL = Ref(Address("acme", "Credential", "mail"))
CHAT = Ref(Address("acme", "Credential", "chat"))
OTHER = Ref(Address("acme", "Automation", "other"))
GENERIC = {"authentication": "genericCredentialType", "genericAuthType": "httpHeaderAuth"}


def tie(*nodes: dict[str, Any], calls: dict[str, Any] | None = None, **credentials: Any) -> Bound:
    return bind(normalize(workflow(*nodes)), credentials, calls or {})


def found(bound: Bound) -> list[tuple[str, str, tuple[Any, ...]]]:
    return [(one.code, one.severity.value, one.path) for one in bound.findings]


def test_a_credential_is_bound_by_its_type() -> None:
    gmail = {"gmailOAuth2": {"id": "7", "name": "Old one"}}

    bound = tie(node("Mail", "gmail", 2.1, credentials=gmail), gmailOAuth2=MAIL)

    assert nodes_of(bound.document)["Mail"]["credentials"] == {"gmailOAuth2": MAIL}
    assert bound.findings == ()


def test_the_name_of_the_node_wins_over_the_type() -> None:
    written = {"gmailOAuth2": {"name": "x"}}

    bound = tie(
        node("A", "gmail", 2.1, credentials=written),
        node("B", "gmail", 2.1, credentials=written),
        gmailOAuth2=MAIL,
        B=CHAT,
    )

    nodes = nodes_of(bound.document)
    assert nodes["A"]["credentials"] == {"gmailOAuth2": MAIL}
    assert nodes["B"]["credentials"] == {"gmailOAuth2": CHAT}
    assert bound.findings == ()


@pytest.mark.parametrize("mapping", [{"httpHeaderAuth": MAIL}, {"Call": MAIL}])
def test_a_node_that_names_no_credential_gets_the_one_its_parameters_ask_for(
    mapping: dict[str, Any],
) -> None:
    bound = tie(node("Call", "httpRequest", 4.2, parameters=GENERIC), **mapping)

    assert nodes_of(bound.document)["Call"]["credentials"] == {"httpHeaderAuth": MAIL}
    assert bound.findings == ()


def test_a_missing_credential_is_an_error_that_says_what_to_write() -> None:
    mail = node("Mail", "gmail", 2.1, credentials={"gmailOAuth2": {"name": "x"}})
    raw = workflow(mail, node("When", "manualTrigger"), connections={"When": link("Mail")})

    (finding,) = bind(normalize(raw), {}, {}).findings
    assert finding.code == "WFL120"
    assert finding.is_error
    assert finding.path == ("nodes", 0, "credentials", "gmailOAuth2")
    assert finding.hint == "write under workflow.credentials: {gmailOAuth2: <name of a Credential>}"


@pytest.mark.parametrize(
    "kind, version, parameters, needed",
    [
        ("httpRequest", 4.2, GENERIC, ["httpHeaderAuth"]),
        ("httpRequest", 4.2, {"url": "x"}, []),
        ("webhook", 2, {"authentication": "basicAuth"}, ["httpBasicAuth"]),
        ("webhook", 2, {"authentication": "none"}, []),
        ("telegram", 1.2, {}, ["telegramApi"]),
        ("gmail", 2.1, {}, ["gmailOAuth2"]),  # by the default of "authentication"
        ("gmail", 2.1, {"authentication": "serviceAccount"}, ["googleApi"]),
        ("gmail", 2.1, {"authentication": "={{ 1 }}"}, ["gmailOAuth2", "googleApi"]),
        ("set", 3.4, {}, []),
        ("noSuchNode", 1, {}, []),
    ],
)
def test_what_a_node_needs_follows_from_its_parameters(
    kind: str, version: float, parameters: dict[str, Any], needed: list[str]
) -> None:
    bound = tie(node("N", kind, version, parameters=parameters))

    assert [one.path[-1] for one in bound.findings] == needed


def test_a_leftover_of_another_choice_is_not_missing() -> None:
    leftover = {"httpBasicAuth": {"name": "old"}}
    parameters = {"authentication": "headerAuth"}

    bound = tie(
        node("Hook", "webhook", 2, parameters=parameters, credentials=leftover),
        httpHeaderAuth=MAIL,
    )

    assert bound.findings == ()


@pytest.mark.parametrize(
    "disabled, connections, severity",
    [
        (False, {"When": link("T")}, "error"),
        (False, {"T": link("When")}, "error"),
        (True, {"When": link("T")}, "warning"),
        (False, {}, "warning"),  # n8n doesn't look at it either
    ],
)
def test_only_a_node_that_can_run_has_to_have_its_credential(
    disabled: bool, connections: dict[str, Any], severity: str
) -> None:
    raw = workflow(
        node("T", "trello", 1, disabled=disabled),
        node("When", "manualTrigger"),
        connections=connections,
    )

    assert [one[:2] for one in found(bind(normalize(raw), {}, {}))] == [("WFL120", severity)]


def test_a_trigger_has_to_have_its_credential_even_alone() -> None:
    assert [one[:2] for one in found(tie(node("T", "telegramTrigger", 1.2)))] == [
        ("WFL120", "error")
    ]


def test_a_mapping_that_fits_nothing_is_a_warning() -> None:
    assert found(tie(node("A", "set", 3.4), slackApi=CHAT)) == [("WFL121", "warning", ("nodes",))]
    assert found(tie(node("A", "set", 3.4), A=CHAT)) == [
        ("WFL121", "warning", ("nodes", 0, "credentials"))
    ]


def test_a_node_with_several_credentials_has_to_be_mapped_by_type() -> None:
    written = {"slackApi": {"name": "a"}, "slackOAuth2Api": {"name": "b"}}
    unknown = node("N", "community", credentials=written)

    assert [one[0] for one in found(tie(unknown, N=CHAT))] == ["WFL122"]
    assert found(tie(unknown, slackApi=CHAT, slackOAuth2Api=MAIL)) == []


@pytest.mark.parametrize(
    "version, written, bound_to",
    [
        (1, "abc", OTHER),
        (1.1, "abc", {"__rl": True, "mode": "id", "value": OTHER}),
        (
            1.2,
            {"__rl": True, "mode": "list", "value": "abc", "cachedResultName": "Sub"},
            {"__rl": True, "mode": "id", "value": OTHER},
        ),
        (1.2, None, {"__rl": True, "mode": "id", "value": OTHER}),
    ],
)
def test_a_call_is_bound_in_the_form_its_version_has(
    version: float, written: object, bound_to: object
) -> None:
    parameters = {"workflowId": written} if written is not None else {}

    bound = tie(
        node("Call", "executeWorkflow", version, parameters=parameters), calls={"Call": OTHER}
    )

    parameters_bound: Any = nodes_of(bound.document)["Call"]["parameters"]
    assert parameters_bound["workflowId"] == bound_to
    assert bound.findings == ()


def test_calls_are_listed_with_what_is_written() -> None:
    locator = {"__rl": True, "mode": "list", "value": "sub", "cachedResultName": "Sub"}
    tool = node("Tool", "x", 2, parameters={"workflowId": locator})
    tool["type"] = "@n8n/n8n-nodes-langchain.toolWorkflow"
    document = normalize(
        workflow(
            node("A", "executeWorkflow", parameters={"workflowId": "abc"}),
            node("B", "executeWorkflow", 1.2, parameters={"workflowId": "={{ $json.id }}"}),
            node("C", "executeWorkflow", 1.2, disabled=True),
            node("D", "executeWorkflow", 1.2, parameters={"source": "parameter"}),
            tool,
            settings={"errorWorkflow": "oops"},
        )
    ).document

    assert find_calls(document) == (
        Call(key="A", target="abc"),
        Call(key="B", target="={{ $json.id }}", expression=True),
        Call(key="C", target=None, disabled=True),
        Call(key="Tool", target="sub"),
        Call(key=ERROR_WORKFLOW, target="oops"),
    )


def test_calls_that_lead_nowhere_certain_are_found() -> None:
    bound = bind(
        normalize(
            workflow(
                node("A", "executeWorkflow", 1.2),
                node("B", "executeWorkflow", 1, parameters={"workflowId": "abc"}),
                node("C", "executeWorkflow", 1, parameters={"workflowId": "={{ 1 }}"}),
                settings={"errorWorkflow": "oops"},
            )
        ),
        {},
        {"Nobody": OTHER},
    )

    assert found(bound) == [
        ("WFL130", "error", ("nodes", 0, "parameters", "workflowId")),
        ("WFL131", "warning", ("nodes", 1, "parameters", "workflowId")),
        ("WFL131", "warning", ("settings", "errorWorkflow")),
        ("WFL132", "warning", ("nodes",)),
    ]


def test_the_error_workflow_can_be_an_automation() -> None:
    normal = normalize(workflow(settings={"errorWorkflow": "oops"}))

    assert bind(normal, {}, {ERROR_WORKFLOW: OTHER}).document["settings"] == {
        "errorWorkflow": OTHER
    }


def test_binding_leaves_the_normal_form_as_it_is() -> None:
    normal = normalize(workflow(node("M", "gmail", 2.1, credentials={"gmailOAuth2": "x"})))
    before = repr(normal)

    bind(normal, {"gmailOAuth2": MAIL}, {})

    assert repr(normal) == before
