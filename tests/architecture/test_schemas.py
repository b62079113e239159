"""The example specs fit the JSON Schemas that their first lines name for editors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.architecture.sources import ROOT

SPECS = sorted((ROOT / "specs").rglob("*.yaml"))
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


@pytest.mark.parametrize("path", SPECS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_example_fits_the_schema_that_its_first_line_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = MODELINE.match(text)
    assert found is not None

    schema = json.loads((path.parent / found.group(1)).read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    errors = [
        error.message for doc in yaml.safe_load_all(text) for error in validator.iter_errors(doc)
    ]

    assert errors == []
