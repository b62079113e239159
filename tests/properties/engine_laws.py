"""What is true of the servers after an undisturbed apply, looked up without the engine's eyes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from reconciler.plan.diff import same
from reconciler.plan.state import Recorded, World
from reconciler.resource.address import Address
from reconciler.resource.marker import short_mark
from reconciler.resource.payload import Payload, Ref, Sealed, Side, references, wire
from reconciler.spec.link import Resource
from reconciler.vault.secrets import entry_secret
from tests.doubles.engine_rig import KEYRING, EngineRig
from tests.doubles.fake_n8n_state import Version, Workflow


def strangers(rig: EngineRig) -> Any:
    """Give all that is not ours, to be compared: records of the fake never change in place."""
    ours = {id_ for e in rig.ledger.inventory.values() for id_ in (e.object_id, *e.deposed)}
    rows = {e.row_id for e in rig.ledger.inventory.values()} | {"host-globex"}
    marks = {f"[{short_mark(e.row_id)}]" for e in rig.ledger.inventory.values()}
    paths = {e.row_id for e in rig.ledger.inventory.values()}
    state = rig.fake.state
    borrowed = {e.object_id for e in rig.ledger.inventory.values() if on_loan(e)}
    return (
        {i: w for i, w in state.workflows.items() if i not in ours and paths.isdisjoint(_marks(w))},
        {
            i: c
            for i, c in state.credentials.items()
            if c.name[-10:] not in marks and (i not in ours or i in borrowed)
        },
        {i: r for i, r in rig.ledger.tables.get("organization", {}).items() if i not in rows},
    )


def _marks(workflow: Workflow) -> set[str]:
    entries = [n for n in workflow.draft.nodes if n["name"] == "reconciler entry"]
    marks = {str(n["parameters"].get("path")) for n in entries}
    return marks | {str((workflow.static_data or {}).get("reconciler"))}


def borrows(payload: Payload) -> bool:
    side = payload.get("n8n")
    return isinstance(side, dict) and "existing" in side


def on_loan(entry: Recorded) -> bool:
    """Whether the object of *entry* is a stranger's; an intent says it before the record does."""
    return borrows(entry.payload if entry.attempted is None else entry.attempted)


def unmoved(resource: Resource) -> Resource:
    return replace(resource, document=replace(resource.document, moved_from=None))


def all_there(rig: EngineRig, world: World, specs: tuple[Resource, ...]) -> None:
    """Everything declared is recorded as declared, and is on the servers, secrets included."""
    for resource in specs:
        address = resource.address
        entry = rig.ledger.inventory[address]
        payload = world.desired[address].payload
        assert same(entry.payload, payload), address
        assert (entry.attempted, entry.removed) == (None, False)
        assert not entry.deposed or _is_held(rig, address, specs), address
        if "n8n" in payload and not borrows(payload):
            side = _side(rig, address, payload)
            if address.kind == "Automation":
                _workflow_is(rig, entry, side)
            else:
                _credential_is(rig, entry, side)


def _is_held(rig: EngineRig, address: Address, specs: tuple[Resource, ...]) -> bool:
    """Whether something that nobody declares, and that stays, refers to *address*."""
    declared = {resource.address for resource in specs}
    return any(
        ref.address == address
        for other, entry in rig.ledger.inventory.items()
        if other not in declared and not entry.removed
        for ref in references(entry.payload)
    )


def _side(rig: EngineRig, address: Address, payload: Payload) -> dict[str, Any]:
    side = wire(payload["n8n"], lambda ref: _id(rig, ref), lambda s: _text(rig, address, s))
    assert isinstance(side, dict)
    return side


def _id(rig: EngineRig, ref: Ref) -> str:
    entry = rig.ledger.inventory[ref.address]
    found = entry.row_id if ref.side is Side.ROW else entry.object_id
    assert found is not None, ref
    return found


def _text(rig: EngineRig, address: Address, sealed: Sealed) -> str:
    if sealed.name == "entry secret":
        return entry_secret(KEYRING, address.organization).reveal()
    return rig.environ[sealed.name.removeprefix("env ")]


def _workflow_is(rig: EngineRig, entry: Recorded, side: dict[str, Any]) -> None:
    workflow = rig.fake.state.workflows[str(entry.object_id)]
    assert (workflow.name, workflow.archived) == (side["name"], False)
    draft = {n["name"]: n for n in workflow.draft.nodes}
    assert draft.keys() == side["nodes"].keys()
    for name, node in side["nodes"].items():
        assert node["parameters"].items() == draft[name]["parameters"].items(), name
        held = {type_: c["id"] for type_, c in (draft[name].get("credentials") or {}).items()}
        assert held == node.get("credentials", {}), name
        assert set(held.values()) <= rig.fake.state.credentials.keys()
    assert workflow.draft.connections == side["connections"]
    assert side["settings"].items() <= workflow.settings.items()
    if side["live"] == "draft":
        assert workflow.active is not None
        assert _by_id(workflow.active) == _by_id(workflow.draft)
        assert workflow.live_id == workflow.active_id
    else:
        assert (workflow.active_id, workflow.live_id) == (None, None)


def _by_id(version: Version) -> Any:
    """What a version does; n8n also keeps the names that credentials had when it was saved."""
    nodes = [
        {**n, "credentials": {t: c["id"] for t, c in (n.get("credentials") or {}).items()}}
        for n in version.nodes
    ]
    return nodes, version.connections


def _credential_is(rig: EngineRig, entry: Recorded, side: dict[str, Any]) -> None:
    credential = rig.fake.state.credentials[str(entry.object_id)]
    name = f"{side['name']} [{short_mark(entry.row_id)}]"
    found = (credential.name, credential.type, credential.data)
    assert found == (name, side["type"], side["data"])


def nothing_unrecorded(rig: EngineRig) -> None:
    """Every object that bears our mark is one that a record knows."""
    entries = rig.ledger.inventory.values()
    known = {e.object_id for e in entries} | {d for e in entries for d in e.deposed}
    state = rig.fake.state
    marks = {f"[{short_mark(e.row_id)}]" for e in entries}
    ours = {i for i, c in state.credentials.items() if c.name[-10:] in marks}
    rows = {e.row_id for e in entries}
    ours |= {i for i, w in state.workflows.items() if rows & _marks(w)}
    assert ours <= known, "an object that no record knows"
    for table in ("automations", "workflow_triggers", "integration_credentials"):
        assert rig.ledger.tables.get(table, {}).keys() <= rows, "a row that no record knows"


def nothing_left_over(rig: EngineRig, kept: AbstractSet[Address]) -> None:
    """What was removed is a tombstone, its workflow archived, its credential gone."""
    state = rig.fake.state
    for address, entry in rig.ledger.inventory.items():
        assert entry.removed == (address not in kept), address
        if not entry.removed:
            continue
        assert not entry.deposed, address
        if address.kind == "Automation" and entry.object_id in state.workflows:
            workflow = state.workflows[entry.object_id]
            assert (workflow.archived, workflow.active_id) == (True, None), address
        elif not on_loan(entry):
            assert entry.object_id not in state.credentials, address
        for table in ("automations", "workflow_triggers", "integration_credentials"):
            row = rig.ledger.tables.get(table, {}).get(entry.row_id)
            assert row is None or row["isActive"] is False, address
