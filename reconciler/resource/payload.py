"""Payloads: JSON in canonical form, with two leaves that JSON does not have.

A `Ref` stands for the id of another resource, a `Sealed` for a secret value.
Both are compared as they are, so plans need neither ids nor secrets; `wire`
replaces them at the last moment, right before a request or a row is written.

A payload has up to two sides: ``{"row": {...}, "n8n": {...}}``.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.resource.address import Address

Path: TypeAlias = tuple[str, ...]


class Side(enum.StrEnum):
    """Which id of a resource a reference means."""

    ROW = "row"
    N8N = "n8n"


@dataclass(frozen=True, slots=True)
class Ref:
    """The id of *address* on *side*, whatever it turns out to be."""

    address: Address
    side: Side = Side.N8N
    stale: bool = False  # seen in n8n: the id of an object that has been replaced


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret known by name; equal fingerprints mean equal values, None means unknown here."""

    name: str
    fingerprint: str | None


Value: TypeAlias = "None | bool | int | float | str | Ref | Sealed | list[Value] | dict[str, Value]"
Payload: TypeAlias = dict[str, Value]
Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
Object: TypeAlias = dict[str, Json]

_TAG = "$reconciler"


def flatten(value: Value, path: Path = ()) -> dict[Path, Value]:
    """Spread nested objects into ``{path: leaf}``; a list or an empty object is one leaf."""
    flat: dict[Path, Value] = {}
    _flatten(value, path, flat)
    return flat


def _flatten(value: Value, path: Path, into: dict[Path, Value]) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _flatten(item, (*path, key), into)
    else:
        into[path] = value


def references(value: Value) -> Iterator[Ref]:
    """Yield each `Ref` in *value*: these are the edges of the dependency graph."""
    match value:
        case Ref():
            yield value
        case dict():
            for item in value.values():
                yield from references(item)
        case list():
            for item in value:
                yield from references(item)


def wire(value: Value, identify: Callable[[Ref], str], reveal: Callable[[Sealed], str]) -> Json:
    """Replace every `Ref` and `Sealed` in *value* by what the servers understand."""
    match value:
        case Ref():
            return identify(value)
        case Sealed():
            return reveal(value)
        case dict():
            return {key: wire(item, identify, reveal) for key, item in value.items()}
        case list():
            return [wire(item, identify, reveal) for item in value]
        case _:
            return value


def to_json(value: Value) -> Json:
    """Encode *value* as plain JSON; `from_json` reads it back without loss."""
    match value:
        case Ref(address, side, stale):
            tagged: dict[str, Json] = {_TAG: "ref", "address": str(address), "side": side.value}
            return {**tagged, "stale": True} if stale else tagged
        case Sealed(name, fingerprint):
            return {_TAG: "sealed", "name": name, "fingerprint": fingerprint}
        case dict():
            encoded: dict[str, Json] = {key: to_json(item) for key, item in value.items()}
            return {_TAG: "object", "value": encoded} if _TAG in value else encoded
        case list():
            return [to_json(item) for item in value]
        case _:
            return value


def from_json(data: Json) -> Value:
    """Decode what `to_json` wrote."""
    match data:
        case {"$reconciler": "ref", "address": str(address), "side": str(side), **rest}:
            return Ref(Address.parse(address), Side(side), stale=bool(rest.get("stale", False)))
        case {"$reconciler": "sealed", "name": str(name), "fingerprint": (str() | None) as mark}:
            return Sealed(name, mark)
        case {"$reconciler": "object", "value": dict(inner)}:
            return {key: from_json(item) for key, item in inner.items()}
        case dict():
            return {key: from_json(item) for key, item in data.items()}
        case list():
            return [from_json(item) for item in data]
        case _:
            return data


def payload_from_json(data: Json) -> Payload:
    """Decode a whole payload; raises ValueError when *data* is not an object."""
    value = from_json(data)
    if not isinstance(value, dict):
        message = "a payload is a JSON object"
        raise ValueError(message)
    return value


def digest(value: Value | Mapping[str, Value]) -> str:
    """Hash *value* (SHA-256 over sorted compact JSON), independent of key order."""
    plain = to_json(dict(value) if isinstance(value, Mapping) else value)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
