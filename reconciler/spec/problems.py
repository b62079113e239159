"""pydantic's errors in words that help, with a hint wherever we have one.

Values are repeated only where they cannot be secret: never of unknown fields,
never below `data` and the like. Not here: places in files (`link`).
"""

from __future__ import annotations

import difflib
import functools
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from reconciler.diagnostics import Problem
from reconciler.spec.model import Path
from reconciler.spec.scalar import as_written
from reconciler.spec.secrets import is_secret_name

_PREFIX: Final = "spec:"
MAX_SHOWN: Final = 200  # faults of one document: beyond that nobody reads, and hints take time
_SAID: Final = 60  # characters of a value that a message repeats
_WANTED: Final = {
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Find the known word that *word* was probably meant to be."""
    by_lower = {item.lower(): item for item in known}
    near = difflib.get_close_matches(word[:100].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """Make a hint that names the nearest known word, else *otherwise*."""
    near = nearest(word, known)
    return f'did you mean "{near}"?' if near else otherwise


def problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Translate all of *error*; a typo's follow-up errors are left out."""
    every = error.errors(include_url=False)
    lines = every[:MAX_SHOWN]
    unknown = {
        (*line["loc"][:-1], near): True
        for line in lines
        if line["type"] == "extra_forbidden"
        and (near := nearest(str(line["loc"][-1]), _known_at(model, line["loc"][:-1])))
    }
    deeper = {line["loc"][:end] for line in lines for end in range(len(line["loc"]))}
    found = [
        _problem(line, model)
        for line in lines
        if not (line["type"] == "missing" and line["loc"] in unknown)
        and not (line["type"] == "too_short" and line["loc"] in deeper)
    ]
    own = {problem.path for problem, ours in found if ours and problem.at == "value"}
    shown_ = [problem for problem, ours in found if ours or problem.path not in own]
    if len(every) > MAX_SHOWN:
        message = f"this document has {len(every) - MAX_SHOWN:,} more faults"
        shown_.append(Problem("SPE119", message, hint="mend those that are shown first"))
    return shown_


def _problem(line: Mapping[str, Any], model: type[BaseModel]) -> tuple[Problem, bool]:
    """Translate one error; also tell whether a rule of ours made it."""
    kind, path, context = line["type"], tuple(line["loc"]), line.get("ctx", {})
    if kind.startswith(_PREFIX):
        code = kind.removeprefix(_PREFIX)
        at = context["at"]
        return Problem(code, context["message"], path, context.get("hint"), at), True
    if kind == "missing":
        return _missing(path, model), False
    if kind == "extra_forbidden":
        return _unknown(path, line["input"], model), False
    if kind == "enum":
        return _not_allowed(path, line["input"], context), False
    if kind in _WANTED:
        return _wrong_type(path, kind, line["input"]), False
    bound = _BOUNDS.get(kind)
    if bound is not None:
        facts = {**context, "is_text": isinstance(line["input"], str)}
        return Problem("SPE106", f"`{dotted(path)}` {bound(facts)}", path), False
    if kind.startswith(("datetime", "timezone")):
        message = f"`{dotted(path)}` must be a time with its zone"
        return Problem("SPE104", message, path, hint="such as 2026-12-31T00:00:00Z"), False
    return Problem(
        "SPE104", f"`{dotted(path)}`: {line['msg'][:1].lower()}{line['msg'][1:]}", path
    ), False


_BOUNDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda c: f"is longer than {c['max_length']} characters",
    "too_short": lambda c: "must not be empty" if c["is_text"] else "needs at least one entry",
    "too_long": lambda c: (
        f"is longer than {c['max_length']} characters"
        if c["is_text"]
        else f"has more than {c['max_length']} entries"
    ),
    "less_than_equal": lambda c: f"is at most {c['le']}",
    "greater_than_equal": lambda c: f"is at least {c['ge']}",
    "string_pattern_mismatch": lambda _: "has characters that are not allowed there",
}


def dotted(path: Path) -> str:
    """Write the end of *path* the way people do, such as ``tags[0]``."""
    tail: list[str] = []
    for step in reversed(path):
        if isinstance(step, str):
            tail.append(step)
            break
        tail.append(f"[{step}]")
    return "".join(reversed(tail))


def shown(value: object) -> str:
    """Name a value's type, and the value itself where it is one word of YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {as_written(value)}"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _wrong_type(path: Path, kind: str, value: object) -> Problem:
    wanted, hint = _WANTED[kind], None
    if kind == "string_type" and (value is None or isinstance(value, bool)):
        hint = "put it in quotes if it is a text"
    elif wanted == "true or false" and isinstance(value, str):
        if value.lower() in {"yes", "no", "on", "off", "y", "n", "true", "false"}:
            right = "true" if value.lower() in {"yes", "on", "y", "true"} else "false"
            hint = f"write {right}, without quotes"
    elif wanted.endswith("number") and isinstance(value, str):
        hint = "write the number without quotes"
    elif wanted == "a list" and isinstance(value, str | int | float):
        hint = "put it in brackets: [...]"
    name = dotted(path)
    subject = f"`{name}`" if name else "this"
    return Problem("SPE104", f"{subject} must be {wanted}, not {shown(value)}", path, hint)


def _not_allowed(path: Path, value: object, context: Mapping[str, Any]) -> Problem:
    words = [word.strip(" '") for word in context["expected"].replace("' or '", "', '").split(",")]
    allowed = "one of " + ", ".join(words)
    if not isinstance(value, str):
        return Problem("SPE104", f"`{dotted(path)}` must be {allowed}, not {shown(value)}", path)
    message = f'`{dotted(path)}` cannot be "{value[:_SAID]}"'
    return Problem("SPE105", message, path, hint=did_you_mean(value, words, allowed))


def _missing(path: Path, model: type[BaseModel]) -> Problem:
    name = str(path[-1])
    field = _fields(_model_at(model, path[:-1])).get(name)
    hint = None
    if field is not None and field.description:
        example = field.examples[0] if field.examples else None
        hint = field.description[:1].lower() + field.description[1:]
        hint += f', such as "{example}"' if isinstance(example, str) else ""
    return Problem("SPE103", f"`{name}` is missing", path[:-1], hint, at="key")


def _unknown(path: Path, value: object, model: type[BaseModel]) -> Problem:
    name = str(path[-1])
    if is_secret_name(name) and isinstance(value, str | int):
        message = f"`{name}` holds a secret in plain text"
        reference = "secrets are never written here: use secretRef: {env: NAME_OF_A_VARIABLE}"
        return Problem("CRE101", message, path, reference, at="key")
    known = _known_at(model, path[:-1])
    # A misspelt source may be followed by the secret itself: CRE hides it from excerpts.
    code = "CRE106" if "secretRef" in path[:-1] else "SPE102"
    otherwise = "known here: " + ", ".join(known) if known else None
    inside = next((one for one in known if name in _known_at(model, (*path[:-1], one))), None)
    if inside is not None:  # e.g. `entry`, which is told of a workflow
        otherwise = f"did you mean `{inside}.{name}`?"
    hint = did_you_mean(name, known, otherwise)
    return Problem(code, f"unknown field `{name}`", path, hint, at="key")


def _known_at(model: type[BaseModel], path: Path) -> list[str]:
    return list(_fields(_model_at(model, path)))


@functools.cache
def _fields(model: type[BaseModel] | None) -> dict[str, FieldInfo]:
    if model is None:
        return {}
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Find the model that describes what is at *path*, if one does."""
    here: Any = model
    for step in path:
        found = _model_in(here)
        if found is not None:
            field = _fields(found).get(str(step))
            here = field.annotation if field is not None else None
        else:
            arguments = get_args(_strip(here))
            here = None if not arguments else arguments[0 if isinstance(step, int) else -1]
    return _model_in(here)


def _strip(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, types.UnionType}:
        some = [item for item in get_args(annotation) if item is not type(None)]
        models = [item for item in some if _is_model(item)]
        return _strip((models or some)[0])
    return annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    stripped = _strip(annotation)
    return stripped if _is_model(stripped) else None


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)
