"""Automation: a workflow that runs when something triggers it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from reconciler.diagnostics import Problem
from reconciler.kinds.template import MAX_PARAMETERS, TemplateSpec
from reconciler.kinds.trigger import TriggerFields, TriggerSpec
from reconciler.kinds.workflow_source import WorkflowFile, exactly_one, written_file
from reconciler.spec.model import (
    Child,
    Count,
    Description,
    Duration,
    Email,
    Flag,
    JsonObject,
    Lifecycle,
    Name,
    Part,
    Rate,
    Reference,
    Spec,
    Tags,
    Text,
    Title,
    WorkflowSource,
    name_problem,
)
from reconciler.spec.quantity import Rate as RateValue
from reconciler.spec.quantity import parse_duration

MAX_TIMEOUT: Final = timedelta(days=1)
MAX_RETRIES: Final = 3  # the database's own limit
MAX_CONCURRENCY: Final = 1000
MAX_QUEUED: Final = 1_000_000
NodeName = Annotated[Text, Field(min_length=1, max_length=256)]


class Entry(enum.StrEnum):
    """Who serves the workflow's triggers."""

    MANAGED = "managed"
    NATIVE = "native"


class WorkflowUse(WorkflowFile):
    """The workflow of an automation and what its nodes are bound to."""

    template: Name | None = Field(
        default=None, description="Name of a Template, instead of a file", examples=["reminder"]
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        max_length=MAX_PARAMETERS,
        description="Values for the template's parameters",
    )
    credentials: dict[NodeName, Name] = Field(
        default_factory=dict,
        description="n8n credential type or node name -> name of a Credential",
        examples=[{"gmailOAuth2": "main-gmail"}],
    )
    calls: dict[NodeName, Name] = Field(
        default_factory=dict,
        description="Name of an executeWorkflow node -> name of the Automation it calls",
        examples=[{"Check the sender": "sender-check"}],
    )
    entry: Entry = Field(
        default=Entry.MANAGED,
        description="managed: our runtime serves webhooks and schedules; native: n8n does",
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that there is exactly one source, and parameters only for a template."""
        yield from exactly_one(given, ("file", "inline", "template"))
        if "parameters" in given and "template" not in given:
            message = "`parameters` belongs to a template"
            yield Problem("SPE113", message, ("parameters",), at="key")


class AutomationTrigger(TriggerFields):
    """A trigger written inside its automation."""

    name: Name = Field(description="Name, unique in this automation", examples=["mornings"])


class Execution(Part):
    """How runs of this automation are bounded."""

    timeout: Duration = Field(
        default=timedelta(minutes=5), description="A run that takes longer is stopped"
    )
    retries: Annotated[Count, Field(ge=0, le=MAX_RETRIES)] = Field(
        default=MAX_RETRIES, description="How often a failed run is tried again"
    )
    concurrency: Annotated[Count, Field(ge=1, le=MAX_CONCURRENCY)] = Field(
        default=5, description="How many runs at the same time"
    )
    rate_limit: Rate = Field(
        default=RateValue(100, 60), description="How many calls are accepted in a time"
    )
    at_most_once: Flag = Field(
        default=False, description="true: a run whose outcome is unknown is not repeated"
    )
    max_queued: Annotated[Count, Field(ge=1, le=MAX_QUEUED)] | None = Field(
        default=None, description="How many runs may wait; more are refused"
    )
    queue_deadline: Duration | None = Field(
        default=None, description="A run that has not begun by then is cancelled"
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check the bounds of the times."""
        for word in ("timeout", "queueDeadline"):
            text = given.get(word)
            try:
                value = parse_duration(text) if isinstance(text, str) else None
            except ValueError:
                continue  # the field's own type says so
            if value is not None and not timedelta(seconds=1) <= value <= MAX_TIMEOUT:
                yield Problem("SPE106", f"{word} is between 1s and 1d", (word,))


class AutomationSpec(Spec):
    """A workflow that runs when something triggers it."""

    meaning: ClassVar[str] = "A workflow and what starts it"

    title: Title = Field(description="Name that people read", examples=["Invoice intake"])
    description: Description = Field(default="", description="What it does, and for whom")
    active: Flag = Field(default=True, description="false: it is kept, and nothing starts it")
    created_by: Email = Field(
        description="E-mail address of the person who answers for it",
        examples=["ops@acme.example"],
    )
    tags: Tags = Field(default=(), description="Words to find it by", examples=[["finance"]])
    workflow: WorkflowUse = Field(
        description="The workflow: exactly one of file, inline and template"
    )
    triggers: tuple[AutomationTrigger, ...] = Field(
        default=(),
        max_length=100,
        description="What starts it; a shorter way to write Trigger documents",
    )
    execution: Execution = Field(default=Execution(), description="How runs are bounded")
    lifecycle: Lifecycle = Field(default=Lifecycle(), description="How it may end")
    metadata: JsonObject | None = Field(
        default=None, description="Anything that other programs want to know"
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that its triggers have different names."""
        triggers = given.get("triggers")
        first: dict[str, int] = {}
        for index, trigger in enumerate(triggers if isinstance(triggers, list) else ()):
            name = trigger.get("name") if isinstance(trigger, Mapping) else None
            if not isinstance(name, str):
                continue
            if name in first:
                message = f'two triggers of this automation are called "{name}"'
                yield Problem("AUT108", message, ("triggers", index, "name"))
            first.setdefault(name, index)

    @classmethod
    def written_references(cls, given: Mapping[str, object]) -> Iterator[Reference]:
        """Yield the names in the raw fields that are well formed."""
        workflow = given.get("workflow")
        if not isinstance(workflow, Mapping):
            return
        if isinstance(template := workflow.get("template"), str) and not name_problem(template):
            yield Reference("Template", template, ("workflow", "template"))
        for word, kind in (("credentials", "Credential"), ("calls", "Automation")):
            names = workflow.get(word)
            for key, name in names.items() if isinstance(names, Mapping) else ():
                if isinstance(name, str) and not name_problem(name):
                    yield Reference(kind, name, ("workflow", word, key))

    @classmethod
    def written_file(cls, given: Mapping[str, object]) -> WorkflowSource | None:
        """Tell which workflow file the raw fields name."""
        return written_file(given)

    def references(self) -> Iterator[Reference]:
        """Yield the template, the credentials and the automations that are called."""
        if self.workflow.template is not None:
            yield Reference("Template", self.workflow.template, ("workflow", "template"))
        for key, name in self.workflow.credentials.items():
            yield Reference("Credential", name, ("workflow", "credentials", key))
        for key, name in self.workflow.calls.items():
            yield Reference("Automation", name, ("workflow", "calls", key))

    def fit_problems(self, look_up: Callable[[Reference], Spec | None]) -> Iterator[Problem]:
        """Check the parameters against those of the template."""
        for reference in self.references():
            template = look_up(reference) if reference.kind == "Template" else None
            if isinstance(template, TemplateSpec):
                for problem in template.parameter_problems(self.workflow.parameters):
                    path = ("workflow", "parameters", *problem.path)
                    yield replace(problem, path=path)

    def children(self, name: str) -> Iterator[Child]:
        """Yield the triggers, as documents of their own."""
        for index, trigger in enumerate(self.triggers):
            fields = {word: getattr(trigger, word) for word in TriggerFields.model_fields}
            spec = TriggerSpec.model_construct(trigger.model_fields_set, automation=name, **fields)
            yield Child("Trigger", f"{name}.{trigger.name}", spec, ("triggers", index))

    def workflow_source(self) -> WorkflowSource | None:
        """Tell where the workflow is; None when it is a template's."""
        return None if self.workflow.template is not None else self.workflow.source(("workflow",))

    def is_protected(self) -> bool:
        """Whether this automation may not be removed."""
        return self.lifecycle.protected
