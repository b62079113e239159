"""The law of the kinds: what was written is read back without a difference, on the fake and on n8n.

Rows are not looked at here, and what n8n never shows (secrets) is taken on trust.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from reconciler.engine.facts import SecretFacts, SpecFacts
from reconciler.errors import LiveChanged, N8nInvalid
from reconciler.kinds.kind import Known, Seen, Written
from reconciler.kinds.registry import KINDS
from reconciler.plan.diff import Versions, compare
from reconciler.resource.address import Address
from reconciler.resource.marker import short_mark
from reconciler.resource.payload import Object, Payload, Ref, Side, wire
from reconciler.resource.stamp import Stamp
from reconciler.spec.link import Loaded
from reconciler.workflow.catalog import shipped_catalog
from tests.conformance.conftest import Bench
from tests.doubles.engine_rig import resources
from tests.properties.engine_specs import node

OPS = "ops@acme.example"
HOME = Address("acme", "Organization", "acme")


@dataclass
class Life:
    """One resource of one kind on an n8n, and what it refers to."""

    bench: Bench
    address: Address
    row_id: str
    objects: dict[Address, str]
    id: str = ""

    @property
    def kind(self) -> Any:
        return KINDS[self.address.kind]

    def payload(self, spec: dict[str, Any]) -> Payload:
        made = resources("acme", self.address.kind, self.address.name, spec)
        facts = SpecFacts(
            loaded=Loaded(resources=made, index={r.address: r for r in made}),
            catalog=shipped_catalog(),
            public_url="https://hooks.example",
            secrets=SecretFacts(fingerprint=lambda *_: "f", entry=lambda _: "f"),
        )
        payload: Payload = self.kind.build(self.address, made[0].spec, facts).payload
        return {"n8n": payload["n8n"]}

    def body(self, payload: Payload) -> Object:
        def identify(ref: Ref) -> str:
            return self.row_id if ref.side is Side.ROW else self.objects[ref.address]

        body = wire(payload["n8n"], identify, lambda _: "made-up")
        assert isinstance(body, dict)
        return body

    async def create(self, payload: Payload) -> None:
        body = self.body(payload)
        made = await self.kind.create(self.bench.api, self.address, body)
        self.id = str(made["id"])
        shown = await self.kind.publish(self.bench.api, Written(made), body, "first")
        await self.kind.confirm(self.bench.api, shown, body)

    async def update(self, payload: Payload, *, unset: tuple[tuple[str, ...], ...] = ()) -> None:
        body, seen = self.body(payload), await self.listed()
        known = Known(address=self.address, id=self.id, stamp=Stamp.of(seen), unset=unset)
        written = await self.kind.update(self.bench.api, known, body)
        shown = await self.kind.publish(self.bench.api, written, body, "second")
        await self.kind.confirm(self.bench.api, shown, body)

    async def listed(self) -> Object:
        """The object as a listing shows it; what apply records of it must be the same."""
        rows = self.bench.api.pages(f"/{self.kind.collection}")
        return next(row for row in [r async for r in rows] if row["id"] == self.id)

    async def differences(self, payload: Payload) -> list[str]:
        def unref(kind: str, side: Side, id_: str) -> Ref | str:
            known = {i: a for a, i in self.objects.items()} | {self.id: self.address}
            found = known.get(id_)
            return Ref(found, side) if found and found.kind == kind else id_

        seen = Seen(
            address=self.address,
            row_id=self.row_id,
            rows={},
            object=await self.listed(),
            unref=unref,
            reader=None,
            recorded=payload,
        )
        versions = Versions(
            desired=payload,
            recorded=payload,
            attempted=None,
            observed=self.kind.canonical(seen),
        )
        return [
            f"{'.'.join(c.path)}: {c.before} instead of {c.after}"
            for c in compare(versions, self.kind.traits).changes
        ]


# Several workers share one n8n, and a webhook path belongs to one workflow there.
NATIVE_PATH = f"native-{uuid.uuid4().hex[:12]}"


def header(value: str) -> dict[str, Any]:
    data = {"name": value, "value": {"secretRef": {"env": "S1"}}}
    return {"provider": "OTHER", "owner": OPS, "n8nType": "httpHeaderAuth", "data": data}


def flow(path: str, text: int, settings: dict[str, Any], **use: Any) -> dict[str, Any]:
    parameters = {
        "url": "https://service.example",
        "authentication": "genericCredentialType",
        "genericAuthType": "httpHeaderAuth",
    }
    nodes = [
        node("Start", "webhook", {"path": path, "httpMethod": "POST"}, typeVersion=2),
        node("Fetch", "httpRequest", parameters, typeVersion=4.2),
        node("Text", "noOp", {}, position=[0, text]),
    ]
    links = {"Start": _to("Fetch"), "Fetch": _to("Text")}
    inline = {"nodes": nodes, "connections": links, "settings": settings}
    workflow = {"inline": inline, "credentials": {"httpHeaderAuth": "key"}, **use}
    return {"title": "Conformance", "createdBy": OPS, "workflow": workflow}


def _to(name: str) -> dict[str, Any]:
    return {"main": [[{"node": name, "type": "main", "index": 0}]]}


@pytest.fixture
async def entry(n8n: Bench) -> AsyncIterator[dict[Address, str]]:
    """An organization's entry credential and another one, as automations need them."""
    objects = {}
    for address in (HOME, Address("acme", "Credential", "key")):
        data = {"name": "X-Key", "value": "made-up"}
        body: Object = {"name": "conformance", "type": "httpHeaderAuth", "data": {**data}}
        made = await n8n.api.post("/credentials", body)
        objects[address] = str(made["id"])
    yield objects
    for id_ in objects.values():
        await n8n.api.delete(f"/credentials/{id_}")


CASES = {
    "organization": (HOME, {"title": "Acme"}, {"title": "Acme"}),
    "credential": (Address("acme", "Credential", "c"), header("X-One"), header("X-Two")),
    "managed": (
        Address("acme", "Automation", "a"),
        flow("p", 1, {"timezone": "Europe/Berlin"}),
        flow("p", 2, {"timezone": "Europe/Rome", "executionTimeout": 60}),
    ),
    "native": (
        Address("acme", "Automation", "b"),
        flow(NATIVE_PATH, 1, {}, entry="native"),
        flow(NATIVE_PATH, 2, {"callerPolicy": "any"}, entry="native"),
    ),
    "paused": (
        Address("acme", "Automation", "d"),
        {**flow("p", 1, {}), "active": False},
        flow("p", 1, {}),
    ),
}


@pytest.fixture(params=sorted(CASES))
async def case(
    request: pytest.FixtureRequest, n8n: Bench, entry: dict[Address, str]
) -> AsyncIterator[tuple[Life, Payload, Payload]]:
    address, first, second = CASES[request.param]
    life = Life(n8n, address, "r" + uuid.uuid4().hex[:23], dict(entry))
    yield life, life.payload(first), life.payload(second)
    if life.id:
        await life.kind.discard(n8n.api, life.id)


async def test_what_was_created_is_read_back_without_a_difference(case: Any) -> None:
    life, first, _ = case
    await life.create(first)
    assert await life.differences(first) == []


async def test_an_update_is_read_back_without_a_difference(case: Any) -> None:
    life, first, second = case
    await life.create(first)
    await life.update(second)
    assert await life.differences(second) == []


async def test_the_same_update_twice_makes_no_other_version(case: Any) -> None:
    life, first, second = case
    await life.create(first)
    await life.update(second)
    before = await life.listed()
    await life.update(second)
    after = await life.listed()
    assert await life.differences(second) == []
    versions = ("versionId", "activeVersionId")
    assert [after.get(key) for key in versions] == [before.get(key) for key in versions]


async def test_a_created_object_bears_a_mark_that_finds_it(case: Any) -> None:
    life, first, _ = case
    await life.create(first)
    assert life.kind.marker(await life.listed()) in {life.row_id, short_mark(life.row_id)}


async def test_a_removal_can_be_repeated_and_taken_back_where_n8n_keeps_the_object(
    case: Any,
) -> None:
    life, first, second = case
    await life.create(first)
    for _ in range(2):
        await life.kind.remove(life.bench.api, life.id)
    if life.kind.keeps_removed:
        assert (await life.listed())["isArchived"]
        await life.update(second)
        assert await life.differences(second) == []


async def test_discarding_twice_is_fine_and_leaves_nothing(case: Any) -> None:
    life, first, _ = case
    await life.create(first)
    for _ in range(2):
        await life.kind.discard(life.bench.api, life.id)
    rows = life.bench.api.pages(f"/{life.kind.collection}")
    assert life.id not in [row["id"] async for row in rows]


async def test_an_object_that_changed_after_it_was_seen_is_not_written(case: Any) -> None:
    life, first, second = case
    await life.create(first)
    stamp = Stamp.of(await life.listed())
    await life.update(second)
    known = Known(address=life.address, id=life.id, stamp=stamp)
    with pytest.raises(LiveChanged):
        await life.kind.update(life.bench.api, known, life.body(first))
    assert await life.differences(second) == []


async def test_settings_that_are_declared_no_more_are_as_if_never_set(
    n8n: Bench, entry: dict[Address, str]
) -> None:
    life = Life(n8n, Address("acme", "Automation", "s"), "r" + uuid.uuid4().hex[:23], entry)
    settings = {"timezone": "Europe/Berlin", "executionTimeout": 60, "callerPolicy": "any"}
    await life.create(life.payload(flow("p", 1, settings)))
    bare = life.payload(flow("p", 1, {}))
    await life.update(bare, unset=tuple(("settings", key) for key in settings))
    shown: Any = (await life.listed())["settings"]
    await life.kind.discard(n8n.api, life.id)
    assert {"timezone", "executionTimeout"}.isdisjoint(shown)
    assert shown["callerPolicy"] == "workflowsFromSameOwner"


async def test_a_draft_that_n8n_refuses_to_publish_is_taken_back(
    n8n: Bench, entry: dict[Address, str]
) -> None:
    life = Life(n8n, Address("acme", "Automation", "u"), "r" + uuid.uuid4().hex[:23], entry)
    first = life.payload(flow("p", 1, {}))
    await life.create(first)
    before = await life.listed()
    body = life.body(first)
    nodes: Any = body["nodes"]
    wrong = {**nodes["Text"], "type": "n8n-nodes-base.noSuchNode"}
    refused: Object = {**body, "nodes": {**nodes, "Text": wrong}}
    known = Known(address=life.address, id=life.id, stamp=Stamp.of(before))
    written = await life.kind.update(n8n.api, known, refused)
    with pytest.raises(N8nInvalid, match="noSuchNode"):
        await life.kind.publish(n8n.api, written, refused, "refused")
    assert await life.differences(first) == []
    assert (await life.listed())["activeVersionId"] == before["activeVersionId"]
    await life.kind.discard(n8n.api, life.id)
