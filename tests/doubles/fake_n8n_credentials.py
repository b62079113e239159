"""How a `FakeN8n` keeps credentials: it takes their data and never gives it back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.doubles.fake_n8n_rules import CREDENTIAL_TYPES, Refused
from tests.doubles.fake_n8n_state import Credential, State

Json = dict[str, Any]


class Credentials:
    """The credential endpoints over a `State`."""

    def __init__(self, state: State, seed: int) -> None:
        self.state = state
        self.seed = seed

    def create(self, body: Any) -> Json:
        for key in ("id", "createdAt", "updatedAt"):
            if key in body:
                raise Refused(400, f"request/body/{key} is read-only")
        for key in ("name", "type", "data"):
            if key not in body:
                raise Refused(400, f"request/body must have required property '{key}'")
        if body["type"] not in CREDENTIAL_TYPES:
            raise Refused(400, "req.body.type is not a known type")
        _check_data(body["type"], body["data"])
        now = self.state.now()
        credential = Credential(
            id=self.state.new_id(self.seed),
            name=body["name"],
            type=body["type"],
            data=body["data"],
            created_at=now,
            updated_at=now,
        )
        self.state.credentials[credential.id] = credential
        return shown(credential)

    def get(self, id_: str) -> Json:
        return shown(self._find(id_, "Credential not found"))

    def update(self, id_: str, body: Any) -> Json:
        credential = self._find(id_, "Credential not found")
        type_ = body.get("type", credential.type)
        if type_ not in CREDENTIAL_TYPES:
            raise Refused(400, "req.body.type is not a known type")
        if type_ != credential.type and "data" not in body:
            raise Refused(
                400,
                "req.body.data is required when changing credential type. "
                "The existing data cannot be used with the new type.",
            )
        data = credential.data
        if "data" in body:
            _check_data(type_, body["data"])
            data = {**data, **body["data"]} if body.get("isPartialData") else body["data"]
        changed = replace(
            credential,
            name=body.get("name", credential.name),
            type=type_,
            data=data,
            updated_at=self.state.now(),
        )
        self.state.credentials[id_] = changed
        return shown(changed)

    def delete(self, id_: str) -> Json:
        credential = self._find(id_, "Not Found")
        del self.state.credentials[id_]
        return {**shown(credential), "usageScope": "project"}

    def schema(self, type_: str) -> Json:
        if type_ not in CREDENTIAL_TYPES:
            raise Refused(404, "Not Found")
        properties = {name: {"type": "string"} for name in sorted(CREDENTIAL_TYPES[type_])}
        return {
            "additionalProperties": False,
            "type": "object",
            "properties": properties,
            "required": [],
        }

    def listing(self) -> list[Credential]:
        return sorted(
            self.state.credentials.values(), key=lambda c: (c.created_at, c.id), reverse=True
        )

    def _find(self, id_: str, message: str) -> Credential:
        credential = self.state.credentials.get(id_)
        if credential is None:
            raise Refused(404, message)
        return credential


def _check_data(type_: str, data: Any) -> None:
    if not isinstance(data, dict):
        raise Refused(400, "request/body/data Expected object")
    for key in data:
        if key not in CREDENTIAL_TYPES[type_]:
            raise Refused(
                400, f'request.body.data is not allowed to have the additional property "{key}"'
            )


def shown(credential: Credential) -> Json:
    """Give the fields that each answer about one credential has."""
    return {
        "id": credential.id,
        "name": credential.name,
        "type": credential.type,
        "isManaged": False,
        "isGlobal": False,
        "isResolvable": False,
        "resolvableAllowFallback": False,
        "resolverId": None,
        "createdAt": credential.created_at,
        "updatedAt": credential.updated_at,
    }


def row(credential: Credential) -> Json:
    """Give the fields of a row in the listing."""
    return {
        "id": credential.id,
        "name": credential.name,
        "type": credential.type,
        "createdAt": credential.created_at,
        "updatedAt": credential.updated_at,
        "shared": [{"id": "fakeproject", "name": "Fake Owner", "role": "credential:owner"}],
    }
