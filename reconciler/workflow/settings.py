"""The workflow settings that n8n's public API accepts and keeps."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.resource.payload import Value
from reconciler.workflow.finding import Notes, Path
from reconciler.workflow.values import clean

_ALL_OR_NONE = ("all", "none")
_ACCEPTED: Mapping[str, type | tuple[str, ...]] = {
    "availableInMCP": bool,
    "callerIds": str,
    "callerPolicy": ("any", "none", "workflowsFromAList", "workflowsFromSameOwner"),
    "customTelemetryTags": list,
    "errorWorkflow": str,
    "executionOrder": str,
    "executionTimeout": float,
    "saveDataErrorExecution": _ALL_OR_NONE,
    "saveDataSuccessExecution": _ALL_OR_NONE,
    "saveExecutionProgress": bool,
    "saveManualExecutions": bool,
    "timeSavedMode": ("fixed", "dynamic"),
    "timeSavedPerExecution": float,
    "timezone": str,
}
_IGNORED = {
    "binaryMode": "n8n derives it itself and ignores what is sent",
    "credentialResolverId": "n8n derives it itself and ignores what is sent",
    "redactionPolicy": "needs a licence: n8n's Community Edition ignores it",
}
_NOUNS = {bool: "true or false", str: "text", float: "a number", list: "a list"}
_NO_TIMEOUT = -1


def clean_settings(raw: object, path: Path, notes: Notes) -> dict[str, Value]:
    """Keep the explicit values that n8n stores; the rest is reported."""
    if raw is None or raw == []:
        return {}
    if not isinstance(raw, dict):
        notes.error("WFL106", path, "settings must be an object")
        return {}
    result: dict[str, Value] = {}
    for key in sorted(key for key in raw if isinstance(key, str)):
        value, where = raw[key], (*path, key)
        expected = _ACCEPTED.get(key)
        if key in _IGNORED:
            notes.drop(where, _IGNORED[key])
        elif expected is None:
            notes.drop(where, "not a setting of n8n's public API")
        elif value is None or value in ("", "DEFAULT"):
            notes.drop(where, "empty: n8n's own default applies", routine=True)
        elif key == "executionTimeout" and value == _NO_TIMEOUT:
            notes.drop(where, "-1 is n8n's default and is not stored", routine=True)
        elif _fits(value, expected):
            result[key] = clean(value, where, notes)
        else:
            notes.error("WFL106", where, f"{key} must be {_noun(expected)}", "n8n refuses it")
    return result


def _fits(value: object, expected: type | tuple[str, ...]) -> bool:
    if isinstance(expected, tuple):
        return value in expected
    if expected is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, expected)


def _noun(expected: type | tuple[str, ...]) -> str:
    if isinstance(expected, tuple):
        return f"one of {', '.join(expected)}"
    return _NOUNS[expected]
