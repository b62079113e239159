"""JSON Schemas of the documents, for editors: draft-07, made from the models.

An editor finds them by the modeline
``# yaml-language-server: $schema=../../../schemas/automation.schema.json``.
Not here: checking anything with them (`link` uses the models).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from reconciler.spec.document import API_VERSION, Envelope
from reconciler.spec.link import Models
from reconciler.spec.quantity import Rate, format_duration

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
ALL: Final = "reconciler.schema.json"
_REF: Final = "#/definitions/{model}"


class _Generator(GenerateJsonSchema):
    """Writes defaults the way people write them."""

    def encode_default(self, dft: Any) -> Any:
        """Write durations and rates as text."""
        if isinstance(dft, timedelta):
            return format_duration(dft)
        if isinstance(dft, Rate):
            return str(dft)
        return super().encode_default(_by_hand(dft))


def _by_hand(value: Any) -> Any:
    """Turn a model that is a default into what one would write."""
    return value.model_dump(mode="json", by_alias=True) if hasattr(value, "model_dump") else value


def schemas(models: Models) -> dict[str, str]:
    """Make every schema file: name to JSON text; the same models give the same texts."""
    documents: dict[str, dict[str, Any]] = {}
    definitions: dict[str, Any] = {}
    for kind, model in models.items():
        document, parts = _document(kind, model.model_json_schema, model.meaning)
        documents[kind] = document
        definitions |= parts
    files = {
        f"{kind.lower()}.schema.json": _text(
            {"$schema": DRAFT, **document, "definitions": _used(document, definitions)}
        )
        for kind, document in documents.items()
    }
    everything = {
        "$schema": DRAFT,
        "title": "reconciler spec",
        "description": "One document of a spec file, of any kind",
        "oneOf": list(documents.values()),
        "definitions": dict(sorted(definitions.items())),
    }
    return {**files, ALL: _text(everything)}


def _document(kind: str, generate: Any, meaning: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make the schema of a whole document of *kind*, and the definitions it uses."""
    outside = Envelope.model_json_schema(ref_template=_REF, schema_generator=_Generator)
    inside = generate(ref_template=_REF, schema_generator=_Generator)
    parts = {**outside.pop("$defs", {}), **inside.pop("$defs", {})}
    parts[f"{kind}Spec"] = inside
    properties = outside["properties"]
    properties["apiVersion"] = {"const": API_VERSION, "description": "Version of this format"}
    properties["kind"] = {"const": kind, "description": meaning}
    properties["spec"] = {"$ref": _REF.format(model=f"{kind}Spec")}
    outside["title"], outside["description"] = kind, meaning
    return _draft7(outside, keep_title=True), {name: _draft7(part) for name, part in parts.items()}


def _draft7(schema: Any, *, keep_title: bool = False) -> Any:
    """Drop titles and nulls that say nothing; wrap references that have company."""
    if isinstance(schema, list):
        return [_draft7(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {
        key: {name: _draft7(item) for name, item in value.items()}
        if key in {"properties", "definitions"}
        else value
        if key in {"default", "examples", "enum", "const"}
        else _draft7(value)
        for key, value in schema.items()
        if key != "title" or keep_title
    }
    if made.get("default", ...) is None:
        del made["default"]
    match made.get("anyOf"):
        case [inner, {"type": "null"}]:  # leaving a field out is said by `required`
            del made["anyOf"]
            made = {**made, **inner}
    if "$ref" in made and len(made) > 1:
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made


def _used(document: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the definitions that *document* needs, directly or through others."""
    wanted = _references(document)
    used: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name not in used:
            used[name] = definitions[name]
            wanted |= _references(definitions[name])
    return dict(sorted(used.items()))


def _references(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(_references, schema)) if schema else set()
    if not isinstance(schema, Mapping):
        return set()
    own = {schema["$ref"].rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(_references, schema.values()))


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
