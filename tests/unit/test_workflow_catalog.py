"""The shipped list of node types, and reading a running n8n's own."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.workflow.catalog import NodeCatalog, shipped_catalog


def test_the_shipped_list_knows_the_nodes_we_rely_on() -> None:
    catalog = shipped_catalog()

    assert catalog.has("n8n-nodes-base.webhook", 2.1)
    assert catalog.has("n8n-nodes-base.splitOut", 1)
    assert catalog.has("n8n-nodes-base.switch", 3.2)
    assert catalog.has("n8n-nodes-base.manualTrigger", 1)
    assert len(catalog.types) > 800


def test_it_is_read_once() -> None:
    assert shipped_catalog() is shipped_catalog()


def test_writing_and_reading_loses_nothing() -> None:
    catalog = shipped_catalog()

    assert NodeCatalog.from_json(catalog.to_json()) == catalog


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("n8n-nodes-base.slak", "n8n-nodes-base.slack"),
        ("n8n-nodes-base.Webhook", "n8n-nodes-base.webhook"),
        ("something.entirely.different", None),
    ],
)
def test_the_nearest_type_is_suggested(wrong: str, right: str | None) -> None:
    assert shipped_catalog().suggest(wrong) == right


@pytest.mark.parametrize("version", [None, "1", True, 99])
def test_there_are_only_the_versions_there_are(version: object) -> None:
    assert not shipped_catalog().has("n8n-nodes-base.set", version)


def test_nodes_that_n8n_leaves_out_by_default_are_marked() -> None:
    excluded = {name for name, one in shipped_catalog().types.items() if one.excluded}

    assert {"n8n-nodes-base.executeCommand", "n8n-nodes-base.localFileTrigger"} <= excluded


def test_the_list_of_a_running_n8n_is_complete() -> None:
    description: dict[str, Any] = {
        "name": "n8n-nodes-x.thing",
        "version": [1, 2],
        "group": ["trigger"],
        "polling": True,
        "webhooks": [{"path": "webhook"}],
        "credentials": [
            {"name": "aApi", "required": True, "displayOptions": {"show": {"by": ["a", True]}}}
        ],
    }

    catalog = NodeCatalog.from_descriptions([description], source="n8n at x")

    thing = catalog.get("n8n-nodes-x.thing")
    assert catalog.complete
    assert thing is not None
    assert (thing.versions, thing.trigger, thing.webhook) == ((1, 2), True, "id")
    variant = thing.variant(2)
    assert variant is not None
    assert variant.polling
    assert [(slot.type, slot.required, dict(slot.show)) for slot in variant.credentials] == [
        ("aApi", True, {"by": ("a", True)})
    ]
    assert NodeCatalog.from_json(catalog.to_json()).types == catalog.types
