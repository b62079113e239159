"""The vocabulary of the kinds' spec models: the base class and the field types.

A model checks one document on its own; what needs a second document or a file
is said through `references`, `children` and `workflow_file` and checked by
`reconciler.spec.link`. Not here: the kinds themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from reconciler.diagnostics import Problem
from reconciler.spec import quantity
from reconciler.spec.scalar import as_written, plain

Path: TypeAlias = tuple[str | int, ...]

NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
HEADER_PATTERN: Final = r"^[A-Za-z0-9-]{1,64}$"
TYPE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9]{0,127}$"  # of n8n credential types
_NAME: Final = re.compile(NAME_PATTERN[1:-1])
MAX_TITLE: Final = 128  # n8n refuses longer workflow names
MAX_TEXT: Final = 10_000  # a description, not a book


def refuse(problem: Problem) -> PydanticCustomError:
    """Wrap *problem* so that a validator can raise it."""
    context = {"message": problem.message, "hint": problem.hint, "at": problem.at}
    return PydanticCustomError("spec:" + problem.code, "{message}", context)


@dataclass(frozen=True, slots=True)
class Reference:
    """A name at *path* that must be a document of *kind* in the same organization."""

    kind: str
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Child:
    """A resource written inside another document, at *path*; *spec* is its own model."""

    kind: str
    name: str
    spec: Spec
    path: Path


class Part(BaseModel):
    """A piece of a spec: unknown fields are errors, instances never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Yield what is wrong between fields; sees the raw fields, whatever their own faults."""
        del given
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _check_rules(cls, given: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        if not isinstance(given, Mapping) or cls.rules.__func__ is Part.rules.__func__:  # type: ignore[attr-defined]
            return handler(given)
        found = [
            InitErrorDetails(type=refuse(problem), loc=problem.path, input=None)
            for problem in cls.rules(given)
        ]
        try:
            made = handler(given)
        except ValidationError as error:
            found = [*_again(error), *found]
        if found:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return made


def _again(error: ValidationError) -> Iterator[InitErrorDetails]:
    for line in error.errors(include_url=False):
        kind, context = line["type"], line.get("ctx", {})
        # A rebuilt error keeps its words; only its type and context are read later.
        made = PydanticCustomError(kind, "{message}", {"message": line["msg"], **context})
        yield InitErrorDetails(type=made, loc=line["loc"], input=line["input"])


class Spec(Part):
    """The `spec` of a document; each kind has one subclass."""

    meaning: ClassVar[str] = ""

    @classmethod
    def written_references(cls, given: Mapping[str, object]) -> Iterator[Reference]:
        """Yield the names of other documents in the raw fields, whatever their other faults."""
        del given
        yield from ()

    @classmethod
    def written_file(cls, given: Mapping[str, object]) -> WorkflowSource | None:
        """Tell which workflow file the raw fields name, if they do."""
        del given
        return None

    def references(self) -> Iterator[Reference]:
        """Yield the names of other documents in this one."""
        yield from ()

    def children(self, name: str) -> Iterator[Child]:
        """Yield the resources written inside this document, which is called *name*."""
        del name
        yield from ()

    def workflow_source(self) -> WorkflowSource | None:
        """Tell where this document's workflow is, if it has one of its own."""
        return None

    def fit_problems(self, look_up: Callable[[Reference], Spec | None]) -> Iterator[Problem]:
        """Yield what does not fit the documents that this one refers to."""
        del look_up
        yield from ()

    def warnings(self) -> Iterator[Problem]:
        """Yield what will not work, though it is well written."""
        yield from ()

    def is_protected(self) -> bool:
        """Whether this resource may not be removed."""
        return False


@dataclass(frozen=True, slots=True)
class WorkflowSource:
    """A workflow in a JSON *file*, or written *inline*; *path* leads to it inside the spec."""

    path: Path
    file: str | None = None
    inline: Mapping[str, object] | None = None


def _text_check(check: Callable[[str], Problem | None]) -> AfterValidator:
    def validate(value: str) -> str:
        problem = check(value)
        if problem is not None:
            raise refuse(problem)
        return value

    return AfterValidator(validate)


def name_problem(value: str) -> Problem | None:
    """Say what is wrong with a name, or None."""
    if _NAME.fullmatch(value):
        return None
    better = re.sub(r"-{2,}", "-", re.sub(r"[^a-z0-9-]+", "-", value.lower())).strip("-")[:63]
    if "/" in value:
        hint = "references stay inside the organization: write the name alone"
        return Problem("SPE109", f'"{value}" is not a name', hint=hint)
    hint = "lower-case letters, digits and dashes, at most 63 characters"
    if better and better != value and _NAME.fullmatch(better):
        hint += f', such as "{better}"'
    return Problem("SPE109", f'"{value}" is not a name', hint=hint)


def _email_problem(value: str) -> Problem | None:
    if quantity.is_email(value):
        return None
    return Problem("SPE115", f'"{value}" is not an e-mail address', hint="such as ops@example.com")


def _quantity(read: Callable[[str], object], hint: str) -> PlainValidator:
    def validate(value: object) -> object:
        text = as_written(value)
        try:
            if isinstance(text, str):
                return read(text)
            message = f"expected {hint}"
        except ValueError as error:
            message = str(error)
        raise refuse(Problem("SPE114", message, hint=f"write {hint}"))

    return PlainValidator(validate)


Text = Annotated[str, BeforeValidator(as_written), Strict()]
Title = Annotated[Text, Field(min_length=1, max_length=MAX_TITLE)]
Description = Annotated[Text, Field(max_length=MAX_TEXT)]
Name = Annotated[Text, _text_check(name_problem), WithJsonSchema({
    "type": "string", "pattern": NAME_PATTERN,
})]  # fmt: skip
Email = Annotated[Text, _text_check(_email_problem), WithJsonSchema({
    "type": "string", "pattern": quantity.EMAIL_PATTERN,
})]  # fmt: skip
HeaderName = Annotated[
    Text,
    Field(pattern=HEADER_PATTERN),
    WithJsonSchema({"type": "string", "pattern": HEADER_PATTERN}),
]
TypeName = Annotated[
    Text,
    Field(pattern=TYPE_PATTERN),
    WithJsonSchema({"type": "string", "pattern": TYPE_PATTERN}),
]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict()]
Tags = Annotated[
    tuple[Annotated[Text, Field(min_length=1, max_length=64)], ...], Field(max_length=50)
]
Json = Annotated[Any, BeforeValidator(plain)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(plain)]
Duration = Annotated[
    timedelta,
    _quantity(quantity.parse_duration, "a number and a unit (ms, s, m, h, d), such as 5m or 1h30m"),
    PlainSerializer(quantity.format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": quantity.DURATION_PATTERN}),
]
Rate = Annotated[
    quantity.Rate,
    _quantity(quantity.parse_rate, "a number and a period, such as 100/min"),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": quantity.RATE_PATTERN}),
]


class Lifecycle(Part):
    """How this resource may end."""

    protected: Flag = Field(default=False, description="true: never removed, not even by --prune")
