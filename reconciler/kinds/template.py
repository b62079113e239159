"""Template: a workflow with typed parameters that automations are made from."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from reconciler.diagnostics import Problem
from reconciler.kinds.workflow_source import WorkflowFile, written_file
from reconciler.spec.model import (
    Description,
    Flag,
    Lifecycle,
    Part,
    Spec,
    Tags,
    Text,
    Title,
    WorkflowSource,
)
from reconciler.spec.scalar import as_written, plain
from reconciler.spec.secrets import is_secret_name


class Category(enum.StrEnum):
    """What a template is for; the words are those of the database."""

    LEAD_MANAGEMENT = "LEAD_MANAGEMENT"
    CUSTOMER_ONBOARDING = "CUSTOMER_ONBOARDING"
    REPORTING = "REPORTING"
    NOTIFICATIONS = "NOTIFICATIONS"
    DATA_SYNC = "DATA_SYNC"
    CONTENT_PUBLISHING = "CONTENT_PUBLISHING"
    INVOICING = "INVOICING"
    SUPPORT_AUTOMATION = "SUPPORT_AUTOMATION"
    SALES_PIPELINE = "SALES_PIPELINE"
    MARKETING = "MARKETING"
    HR_OPERATIONS = "HR_OPERATIONS"
    OTHER = "OTHER"


class Difficulty(enum.StrEnum):
    """How much a person must know to use a template."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"


class ParameterType(enum.StrEnum):
    """What a parameter's value is."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ENUM = "enum"


MAX_PARAMETERS: Final = 100
_PYTHON: Final = {
    ParameterType.STRING: (str,),
    ParameterType.NUMBER: (int, float),
    ParameterType.BOOLEAN: (bool,),
}


class Parameter(Part):
    """A value that the user of a template gives."""

    type: ParameterType = Field(description="What kind of value it is")
    description: Description = Field(default="", description="What it is for")
    required: Flag = Field(default=False, description="true: an automation must give it")
    default: Any = Field(default=None, description="The value where an automation gives none")
    values: tuple[Annotated[Text, Field(min_length=1)], ...] = Field(
        default=(), description="The allowed values, for type enum"
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that values and default fit the type."""
        kind, values = given.get("type"), given.get("values")
        if (kind == ParameterType.ENUM) != bool(values):
            message = "type enum needs values, and only type enum has them"
            yield Problem("SPE113", message, ("values",) if values else (), at="key")
        if given.get("required") is True and "default" in given:
            message = "a required parameter has no use for a default"
            yield Problem("SPE113", message, ("default",), at="key")
        elif "default" in given and kind in set(ParameterType):
            allowed = values if isinstance(values, list) else []
            problem = value_problem(ParameterType(str(kind)), allowed, given["default"])
            if problem is not None:
                yield Problem("SPE104", problem, ("default",))


def value_problem(kind: ParameterType, values: list[object], value: object) -> str | None:
    """Say why *value* does not fit a parameter of type *kind*, or None."""
    if kind is ParameterType.ENUM:
        words = [str(as_written(item)) for item in values]
        if str(as_written(value)) in words and not isinstance(value, bool):
            return None
        return "expected one of " + ", ".join(f'"{word}"' for word in words)
    if kind is ParameterType.STRING:
        value = as_written(value)
    is_wrong_bool = isinstance(value, bool) and kind is not ParameterType.BOOLEAN
    if isinstance(value, _PYTHON[kind]) and not is_wrong_bool:
        return None
    return f"expected a {'text' if kind is ParameterType.STRING else kind.value}"


def _as_typed(kind: ParameterType, value: object) -> object:
    """Return *value* as its type wants it: a text as it was written."""
    is_text = kind in {ParameterType.STRING, ParameterType.ENUM}
    return as_written(value) if is_text else plain(value)


class TemplateSpec(Spec):
    """A workflow with parameters, ready to be used by automations."""

    meaning: ClassVar[str] = "A workflow with typed parameters, to make automations from"

    title: Title = Field(description="Name that people read", examples=["Invoice reminder"])
    description: Description = Field(description="What it does, and for whom")
    category: Category = Field(description="Where it stands in the catalogue")
    difficulty: Difficulty = Field(
        default=Difficulty.BEGINNER, description="How much one must know to use it"
    )
    workflow: WorkflowFile = Field(description="The workflow: exactly one of file and inline")
    required_integrations: Tags = Field(
        default=(), description="Services it needs", examples=[["gmail", "slack"]]
    )
    parameters: Annotated[dict[str, Parameter], Field(max_length=MAX_PARAMETERS)] = Field(
        default_factory=dict, description="Values that an automation gives, by name"
    )
    tags: Tags = Field(default=(), description="Words to find it by")
    official: Flag = Field(default=False, description="true: made by the platform's own team")
    thumbnail_url: Annotated[Text, Field(max_length=2000)] | None = Field(
        default=None, description="Address of a small picture"
    )
    demo_video_url: Annotated[Text, Field(max_length=2000)] | None = Field(
        default=None, description="Address of a film that shows it"
    )
    lifecycle: Lifecycle = Field(default=Lifecycle(), description="How it may end")

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check the parameters' names and the addresses."""
        parameters = given.get("parameters")
        for name in parameters if isinstance(parameters, Mapping) else ():
            path = ("parameters", name)
            if not name.isidentifier() or not name.isascii():
                message = f'"{name}" is not a parameter name'
                hint = "letters, digits and _, not beginning with a digit"
                yield Problem("SPE109", message, path, hint=hint, at="key")
            elif is_secret_name(name):
                message = f"parameter `{name}` would hold a secret, parameters are plain text"
                yield Problem("CRE105", message, path, hint="use a Credential", at="key")
        for name in ("thumbnailUrl", "demoVideoUrl"):
            url = given.get(name)
            if isinstance(url, str) and not url.startswith(("https://", "http://")):
                message = f"`{name}` is not an http or https address"
                yield Problem("SPE106", message, (name,))

    @classmethod
    def written_file(cls, given: Mapping[str, object]) -> WorkflowSource | None:
        """Tell which workflow file the raw fields name."""
        return written_file(given)

    def workflow_source(self) -> WorkflowSource:
        """Tell where the workflow is."""
        return self.workflow.source(("workflow",))

    def parameter_problems(self, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check the parameters *given* by an automation; paths begin at the parameters."""
        for name, value in islice(given.items(), MAX_PARAMETERS):
            parameter = self.parameters.get(name)
            if parameter is None:
                known = ", ".join(self.parameters) or "none"
                message = f'this template has no parameter "{name}"'
                yield Problem("REF107", message, (name,), hint=f"it has: {known}", at="key")
                continue
            problem = value_problem(parameter.type, list(parameter.values), value)
            if problem is not None:
                yield Problem("REF109", f"parameter `{name}`: {problem}", (name,))
        for name, parameter in self.parameters.items():
            if parameter.required and name not in given:
                message = f"the template's parameter `{name}` is required"
                yield Problem("REF108", message, hint=parameter.description or None)

    def parameter_values(self, given: Mapping[str, object]) -> dict[str, object]:
        """Return the value of every parameter: the *given* one, else the default."""
        return {
            name: _as_typed(item.type, given.get(name, item.default))
            for name, item in self.parameters.items()
        }

    def is_protected(self) -> bool:
        """Whether this template may not be removed."""
        return self.lifecycle.protected
