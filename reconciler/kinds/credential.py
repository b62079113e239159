"""Credential: access to an outside service; the secret itself is elsewhere."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import Field, WrapValidator

from reconciler.diagnostics import Problem
from reconciler.spec.model import Email, Lifecycle, Part, Spec, Text, Title, TypeName, refuse
from reconciler.spec.scalar import as_written, plain
from reconciler.spec.secretref import SecretRef, secret_ref_problem
from reconciler.spec.secrets import find_token, is_secret_name, looks_random


class Provider(enum.StrEnum):
    """The services that the database knows by name."""

    GMAIL = "GMAIL"
    GOOGLE_SHEETS = "GOOGLE_SHEETS"
    GOOGLE_DRIVE = "GOOGLE_DRIVE"
    GOOGLE_CALENDAR = "GOOGLE_CALENDAR"
    SLACK = "SLACK"
    MICROSOFT_TEAMS = "MICROSOFT_TEAMS"
    OUTLOOK = "OUTLOOK"
    HUBSPOT = "HUBSPOT"
    SALESFORCE = "SALESFORCE"
    STRIPE = "STRIPE"
    PAYPAL = "PAYPAL"
    MAILCHIMP = "MAILCHIMP"
    SENDGRID = "SENDGRID"
    TWILIO = "TWILIO"
    ZOOM = "ZOOM"
    DROPBOX = "DROPBOX"
    TRELLO = "TRELLO"
    ASANA = "ASANA"
    NOTION = "NOTION"
    AIRTABLE = "AIRTABLE"
    WEBHOOK = "WEBHOOK"
    HTTP_REQUEST = "HTTP_REQUEST"
    DATABASE = "DATABASE"
    OPENAI = "OPENAI"
    ANTHROPIC = "ANTHROPIC"
    OTHER = "OTHER"


# The n8n credential type that a provider usually means; OTHER has none.
DEFAULT_TYPES: Final = MappingProxyType(
    {
        Provider.GMAIL: "gmailOAuth2",
        Provider.GOOGLE_SHEETS: "googleSheetsOAuth2Api",
        Provider.GOOGLE_DRIVE: "googleDriveOAuth2Api",
        Provider.GOOGLE_CALENDAR: "googleCalendarOAuth2Api",
        Provider.SLACK: "slackApi",
        Provider.MICROSOFT_TEAMS: "microsoftTeamsOAuth2Api",
        Provider.OUTLOOK: "microsoftOutlookOAuth2Api",
        Provider.HUBSPOT: "hubspotAppToken",
        Provider.SALESFORCE: "salesforceOAuth2Api",
        Provider.STRIPE: "stripeApi",
        Provider.PAYPAL: "payPalApi",
        Provider.MAILCHIMP: "mailchimpApi",
        Provider.SENDGRID: "sendGridApi",
        Provider.TWILIO: "twilioApi",
        Provider.ZOOM: "zoomApi",
        Provider.DROPBOX: "dropboxApi",
        Provider.TRELLO: "trelloApi",
        Provider.ASANA: "asanaApi",
        Provider.NOTION: "notionApi",
        Provider.AIRTABLE: "airtableTokenApi",
        Provider.WEBHOOK: "httpHeaderAuth",
        Provider.HTTP_REQUEST: "httpHeaderAuth",
        Provider.DATABASE: "postgres",
        Provider.OPENAI: "openAiApi",
        Provider.ANTHROPIC: "anthropicApi",
    }
)


class SecretField(Part):
    """A field whose value is a secret."""

    secret_ref: SecretRef = Field(description="Where the secret is kept")


class Existing(Part):
    """A credential that a person made in n8n; it is used and never written."""

    name: Annotated[Text, Field(min_length=1, max_length=128)] | None = Field(
        default=None, description="Its name in n8n", examples=["Main Gmail account"]
    )
    id: Annotated[Text, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Its id in n8n, where names are not unique"
    )
    type: TypeName = Field(description="Its n8n credential type", examples=["gmailOAuth2"])

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that it is named in exactly one way."""
        if ("name" in given) == ("id" in given):
            yield Problem("SPE112", "an existing credential is named by exactly one of name and id")


def _read_value(value: object, handler: object) -> object:
    del handler  # a union's own errors name its branches, which says nothing to a person
    if isinstance(value, Mapping):
        return SecretField.model_validate(value)
    if isinstance(value, str | int | float):
        return plain(value)
    message = "a field is a text, a number, true or false, or {secretRef: ...}"
    raise refuse(Problem("CRE108", message))


DataValue: TypeAlias = Annotated[SecretField | str | int | float | bool, WrapValidator(_read_value)]


class CredentialSpec(Spec):
    """Access to an outside service; secrets are referred to, never written here."""

    meaning: ClassVar[str] = "Access to an outside service; the secret is a reference"

    provider: Provider = Field(description="The service", examples=["STRIPE"])
    owner: Email = Field(
        description="E-mail address of the person it belongs to", examples=["ops@acme.example"]
    )
    title: Title | None = Field(
        default=None, description="Name that people read; the document's name if left out"
    )
    n8n_type: TypeName | None = Field(
        default=None,
        alias="n8nType",
        description="n8n's credential type; follows from the provider if left out",
        examples=["httpHeaderAuth"],
    )
    scope: Annotated[Text, Field(max_length=2000)] | None = Field(
        default=None, description="OAuth scopes, separated by spaces"
    )
    data: dict[str, DataValue] = Field(
        default_factory=dict,
        description="The fields of n8n's credential type; a secret one is {secretRef: ...}",
        examples=[{"secretKey": {"secretRef": {"env": "STRIPE_API_KEY"}}}],
    )
    existing: Existing | None = Field(
        default=None, description="Instead of data: a credential that a person made in n8n"
    )
    lifecycle: Lifecycle = Field(default=Lifecycle(), description="How it may end")

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that there is one source of data, a type for it, and no plain secret in it."""
        if ("data" in given) == ("existing" in given):
            yield Problem("SPE112", "a credential has exactly one of data and existing")
        no_type = "data" in given and "n8nType" not in given
        if no_type and given.get("provider") == Provider.OTHER:
            message = "provider OTHER says nothing about the credential type"
            yield Problem("SPE103", message, hint="add n8nType, such as httpHeaderAuth")
        data = given.get("data")
        for name, value in data.items() if isinstance(data, Mapping) else ():
            yield from _plain_secrets(name, value)

    @property
    def credential_type(self) -> str:
        """n8n's type of this credential."""
        if self.existing is not None:
            return self.existing.type
        return self.n8n_type or DEFAULT_TYPES[self.provider]

    def warnings(self) -> Iterator[Problem]:
        """Yield what will not work, though it is well written."""
        for name, value in self.data.items():
            if isinstance(value, SecretField) and value.secret_ref.age is not None:
                message = f"`{name}` is encrypted with age, which this version cannot decrypt yet"
                hint = "plan shows the credential as blocked; use env or file until then"
                yield Problem("CRE104", message, ("data", name, "secretRef", "age"), hint=hint)

    def is_protected(self) -> bool:
        """Whether this credential may not be removed."""
        return self.lifecycle.protected


def _plain_secrets(name: str, value: object) -> Iterator[Problem]:
    path = ("data", name)
    if isinstance(value, Mapping):
        problem = secret_ref_problem(value.get("secretRef"), (*path, "secretRef"), "secretRef")
        if problem is not None:
            yield problem
        return
    text: Any = as_written(value)
    is_secret = is_secret_name(name) and not isinstance(value, bool) and value is not None
    if isinstance(text, str) and (find_token(text) is not None or looks_random(text)):
        is_secret = True
    if is_secret:
        message = f"`{name}` holds a secret in plain text"
        hint = f"name where it is kept: {name}: {{secretRef: {{env: NAME_OF_A_VARIABLE}}}}"
        yield Problem("CRE101", message, path, hint=hint)
