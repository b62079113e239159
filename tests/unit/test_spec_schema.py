"""The JSON Schemas: current, sound, and of one mind with the models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from reconciler.kinds.models import MODELS
from reconciler.source.load import load
from reconciler.spec.codes import CODES
from reconciler.spec.schema import schemas

ROOT = Path(__file__).parent.parent.parent
FILES = schemas(MODELS)


def test_the_committed_schemas_are_current() -> None:
    committed = {
        path.name: path.read_text(encoding="utf-8") for path in (ROOT / "schemas").glob("*.json")
    }
    assert committed == FILES, "run: reconciler schema export"


def test_the_same_models_give_the_same_texts() -> None:
    assert schemas(MODELS) == FILES


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_schema_is_sound_and_every_reference_in_it_leads_somewhere(name: str) -> None:
    schema = json.loads(FILES[name])
    jsonschema.Draft7Validator.check_schema(schema)
    wanted = set(re.findall(r'"\$ref": "#/definitions/(\w+)"', FILES[name]))
    assert wanted <= schema["definitions"].keys()
    assert "anyOf" not in schema  # nothing but the kinds is a choice at the top


def described(schema: Any, path: str = "") -> list[str]:
    """Find the fields without a description."""
    missing = []
    if isinstance(schema, dict):
        for key, value in schema.get("properties", {}).items():
            is_outer = key == "spec" and "$ref" in value
            if "description" not in value and not is_outer:
                missing.append(f"{path}.{key}")
        for key, value in schema.items():
            missing += described(value, f"{path}/{key}")
    return missing


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_field_is_described(name: str) -> None:
    assert described(json.loads(FILES[name])) == []


GOOD = """\
apiVersion: reconciler/v1
kind: Automation
metadata: {name: invoice-intake, labels: {team: finance}}
spec:
  title: Invoice intake
  description: Files each invoice that arrives
  active: true
  createdBy: ops@acme.example
  tags: [finance]
  workflow:
    file: workflows/invoice-intake.json
    credentials: {gmailOAuth2: main-gmail}
  triggers:
    - {name: form, type: WEBHOOK, auth: {scheme: standard-webhooks, secretRef: {env: HOOK}}}
    - {name: mornings, type: SCHEDULE, cron: "0 9 * * 1-5", timezone: Europe/Berlin,
       misfire: fire_once, overlap: skip, jitter: 30s}
    - name: big-invoices
      type: DOCUMENT_UPLOADED
      event: document.uploaded
      filters: {documentType: invoice, fileSize: {lessThan: 10485760}, tags: [urgent]}
  execution: {timeout: 5m, retries: 3, concurrency: 5, rateLimit: 100/min}
  lifecycle: {protected: true}
"""


def validator(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(FILES[name]))


@pytest.mark.parametrize("name", ["automation.schema.json", "reconciler.schema.json"])
def test_a_good_document_fits_its_schema_and_the_schema_of_all(name: str) -> None:
    validator(name).validate(yaml.safe_load(GOOD))


@pytest.mark.parametrize(
    "before, after",
    [
        ("title:", "titel:"),
        ("kind: Automation", "kind: Automaton"),
        ("retries: 3", "retries: 4"),
        ("timeout: 5m", "timeout: 5 minutes"),
        ("type: SCHEDULE", "type: SCHEDULED"),
        ("name: invoice-intake", "name: Invoice_Intake"),
        ("ops@acme.example", "ops"),
        ("env: HOOK", "evn: HOOK"),
    ],
)
def test_an_editor_underlines_what_validate_refuses(before: str, after: str) -> None:
    assert before in GOOD
    document = yaml.safe_load(GOOD.replace(before, after, 1))
    assert list(validator("automation.schema.json").iter_errors(document)) != []


def test_defaults_are_written_as_people_write_them() -> None:
    execution = json.loads(FILES["automation.schema.json"])["definitions"]["Execution"]
    defaults = {name: field.get("default") for name, field in execution["properties"].items()}
    assert defaults["timeout"] == "5m"
    assert defaults["rateLimit"] == "100/min"


def test_the_modelines_of_our_specs_lead_to_the_schema_of_their_kind() -> None:
    for path in sorted((ROOT / "specs").rglob("*.yaml")):
        modeline = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text("utf-8"))
        if modeline is None:
            continue
        target = (path.parent / modeline[1]).resolve()
        assert target.parent == ROOT / "schemas", path
        assert target.name in FILES, path
        schema = jsonschema.Draft7Validator(json.loads(target.read_text(encoding="utf-8")))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            schema.validate(document)


def test_our_own_specs_are_valid() -> None:
    if not any((ROOT / "specs").rglob("*.yaml")):
        pytest.fail("the example repository in specs/ is part of the product")
    loaded = load(ROOT / "specs", MODELS)
    assert [f"{item.mark} {item.message}" for item in loaded.diagnostics] == []


SOURCES = [
    *(ROOT / "reconciler" / "spec").glob("*.py"),
    *(ROOT / "reconciler" / "trigger").glob("*.py"),
    *(ROOT / "reconciler" / "kinds").glob("*.py"),
    *(ROOT / "reconciler" / "source").glob("*.py"),
    *(ROOT / "reconciler" / "engine").glob("*.py"),
]
OURS = r"\b(?:FIL|YML|JSN|SPE|REF|AUT|CRE|FMT)\d{3}\b"


def test_every_code_that_is_used_is_explained_and_every_explained_one_is_used() -> None:
    used: set[str] = set()
    for path in SOURCES:
        if path.name != "codes.py":
            used |= set(re.findall(OURS, path.read_text(encoding="utf-8")))
    assert used == CODES.keys()


def test_every_code_is_seen_in_a_test() -> None:
    seen: set[str] = set()
    for path in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "tests" / "cases").rglob("*.yaml")]:
        seen |= set(re.findall(OURS, path.read_text(encoding="utf-8")))
    assert CODES.keys() - seen == set()
