"""What a caller may give as a key: one rule for the API and the command line."""

from __future__ import annotations

from reconciler.trigger.execution import CALLERS_KEY
from reconciler.web.bodies import EventBody


def test_the_api_and_the_command_line_take_the_same_keys() -> None:
    id_ = EventBody.model_json_schema()["properties"]["id"]["anyOf"][0]

    assert CALLERS_KEY == id_["pattern"]
