"""What people do by hand in n8n and in PostgreSQL while nobody looks."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from reconciler.plan.state import Recorded
from tests.doubles.engine_rig import EngineRig
from tests.doubles.fake_n8n_rules import Refused
from tests.properties.engine_specs import SHARED_NAME

WORKFLOW = (
    "edit",
    "edit and publish",
    "unpublish",
    "archive",
    "delete",
    "rename",
    "setting",
    "own setting",
    "entry",
    "unbind",
    "drop node",
)
CREDENTIAL = ("rename", "data", "delete", "retype")
ROW = ("row", "no row", "no runtime", "damage")
OTHER = ("reborn", "namesake")
DRIFTS = (*(("workflow", w) for w in WORKFLOW), *(("credential", w) for w in CREDENTIAL),
          *(("row", w) for w in ROW), *(("other", w) for w in OTHER))  # fmt: skip


def disturb(rig: EngineRig, drift: tuple[str, str], n: int) -> None:
    """Do one thing by hand, to the *n*-th thing there is."""
    where, what = drift
    entries = list(rig.ledger.inventory.values())
    match where:
        case "workflow":
            ids = _objects(entries, ("Automation",), rig.fake.state.workflows)
            if ids:
                _workflow(rig, ids[n % len(ids)], what)
        case "credential":
            ids = _objects(entries, ("Organization", "Credential"), rig.fake.state.credentials)
            if ids:
                _credential(rig, ids[n % len(ids)], what)
        case "row":
            _row(rig, what, n)
        case _:
            _stranger(rig, what)


def _objects(entries: list[Recorded], kinds: tuple[str, ...], there: Any) -> list[str]:
    return [
        entry.object_id
        for entry in entries
        if entry.address.kind in kinds and entry.object_id in there and not _borrowed(entry)
        if entry.object_id is not None
    ]


def _borrowed(entry: Recorded) -> bool:
    sides = [payload.get("n8n") for payload in (entry.payload, entry.attempted or {})]
    return any(isinstance(side, dict) and "existing" in side for side in sides)


def _workflow(rig: EngineRig, id_: str, what: str) -> None:
    fake = rig.fake
    if what == "archive":
        fake.workflows.archive(id_)
        fake.workflows.settle(id_)
        return
    if what == "delete":
        fake.stop_serving(id_)
        fake.workflows.delete(id_)
        return
    if what == "unpublish":
        fake.stop_serving(id_)
        return
    if fake.state.workflows[id_].archived:
        return
    stranger = next(c.id for c in fake.state.credentials.values() if c.name == SHARED_NAME)

    def change(body: dict[str, Any]) -> None:
        match what:
            case "edit" | "edit and publish":
                body["nodes"].append(_note(len(body["nodes"])))
            case "rename":
                body["name"] = "by hand"
            case "setting":
                body["settings"]["saveManualExecutions"] = False
            case "own setting":
                body["settings"]["timezone"] = "Asia/Tokyo"
            case "entry":
                for node in body["nodes"]:
                    if node["name"] == "reconciler entry":
                        node["parameters"]["path"] = f"by-hand-{id_}"
            case "unbind":
                for node in body["nodes"]:
                    for held in (node.get("credentials") or {}).values():
                        held |= {"id": stranger, "name": SHARED_NAME}
            case _:
                body["nodes"] = [n for n in body["nodes"] if n["name"] != "Text"]
                body["connections"] = {}

    fake.edit(id_, change)
    if what == "edit and publish":
        with suppress(Refused):  # n8n refuses some of it, to people too
            fake.workflows.publish(id_, {})
        fake.workflows.settle(id_)


def _note(n: int) -> dict[str, Any]:
    return {
        "id": f"by-hand-{n}",
        "name": f"By hand {n}",
        "type": "n8n-nodes-base.noOp",
        "typeVersion": 1,
        "position": [n, n],
        "parameters": {},
    }


def _credential(rig: EngineRig, id_: str, what: str) -> None:
    credentials = rig.fake.credentials
    match what:
        case "rename":
            credentials.update(id_, {"name": "by hand"})
        case "data":
            credentials.update(id_, {"data": {}})
        case "delete":
            credentials.delete(id_)
        case _:
            credentials.update(id_, {"type": "httpQueryAuth", "data": {"name": "q"}})


def _row(rig: EngineRig, what: str, n: int) -> None:
    tables = rig.ledger.tables
    if what in {"row", "damage"}:
        changes: dict[str, dict[str, Any]] = {
            "organization": {"name": "by hand"},
            "automations": {"name": "by hand", "isActive": False},
            "workflow_triggers": {"isActive": False},
            "integration_credentials": {"scope": "by hand"},
            "automation_templates": {"name": "by hand"},
        }
        if what == "damage":
            changes = {"integration_credentials": {"credentialData": "damaged"}}
        rows = [(t, i) for t in sorted(changes) for i in sorted(tables.get(t, {}))]
        rows = [(t, i) for t, i in rows if _is_ours(rig, i)]
        if rows:
            table, id_ = rows[n % len(rows)]
            tables[table][id_] = {**tables[table][id_], **changes[table]}
        return
    names = ("automation_runtime",) if what == "no runtime" else tuple(sorted(tables))
    rows = [(t, i) for t in names for i in sorted(tables.get(t, {})) if _is_ours(rig, i)]
    if rows:
        rig.ledger.delete(*rows[n % len(rows)])


def _is_ours(rig: EngineRig, row_id: str) -> bool:
    return any(entry.row_id == row_id for entry in rig.ledger.inventory.values())


def _stranger(rig: EngineRig, what: str) -> None:
    """Make the hand-made credential again, or a workflow that is called like one of ours."""
    if what == "reborn":
        for type_ in ("httpHeaderAuth", "httpBasicAuth"):
            for old in list(rig.fake.state.credentials.values()):
                if old.name == SHARED_NAME and old.type == type_:
                    rig.fake.credentials.delete(old.id)
            rig.fake.credentials.create({"name": SHARED_NAME, "type": type_, "data": {}})
        return
    body = {"name": "acme a1", "nodes": [_note(0)], "connections": {}, "settings": {}}
    rig.fake.workflows.create(body)
    rig.fake.credentials.create({"name": "acme/c1", "type": "httpHeaderAuth", "data": {}})
