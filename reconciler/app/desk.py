"""What the commands about runs use: executions, events and tokens, straight from the database.

No daemon is needed to look, to ask for a run or to send an event; a worker's daemon runs it. Not
here: printing.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from reconciler.access import Action, Principal, Role
from reconciler.app import actor, new_id, open_database
from reconciler.errors import ConflictError, UsageError
from reconciler.settings import Settings
from reconciler.store.database import Database
from reconciler.store.directory import (
    NOT_STARTABLE,
    AutomationEntry,
    Directory,
    OrganizationEntry,
)
from reconciler.store.event_records import EventRecord, EventRecords
from reconciler.store.events import Events, NewEvent, Sent, Started
from reconciler.store.executions import Cancelled, Execution, Executions, Filters, Open
from reconciler.store.executions.repeat import repeats
from reconciler.store.notify import notify
from reconciler.store.tokens import MOST, NewToken, Tokens
from reconciler.trigger.execution import CALLERS_KEY, Accepted, NewExecution, Refusal
from reconciler.trigger.manual import UnknownTrigger, way_of_hand
from reconciler.vault.secret import Secret
from reconciler.vault.tokens import SECRET_BYTES, mint

_BEGINNING: Final = re.compile(r"[a-z][a-z0-9]{5,22}")  # of an id, long enough to mean one


class Desk:
    """The database, open for one command of somebody who may log in to it."""

    def __init__(self, database: Database, who: Principal) -> None:
        self.database = database
        self.who = who
        self.directory = Directory(self.database)
        self.executions = Executions(self.database, new_id=new_id)
        self.events = Events(self.database, self.executions)
        self.records = EventRecords(self.database)
        self.tokens = Tokens(self.database)

    async def automation(self, name: str) -> AutomationEntry:
        """Find the one automation that *name* means; raises UsageError."""
        found = await self.directory.automations(name)
        if len(found) == 1:
            return found[0]
        if found:
            labels = ", ".join(one.label for one in found)
            message = f'"{name}" may be one of {labels}'
            raise UsageError(message, hint="name it with its organization")
        known = await self.directory.names()
        short = {label.rpartition("/")[2]: label for label in known}
        near = difflib.get_close_matches(name, [*known, *short], 1)
        hint = f'did you mean "{short.get(near[0], near[0])}"?' if near else None
        message = f'there is no automation "{name}"'
        raise UsageError(message, hint=hint or "`reconciler status --kind Automation` lists them")

    async def organization(self, name: str | None) -> OrganizationEntry:
        """Find the organization *name*, or the only one; raises UsageError."""
        found = await self.directory.organizations(name)
        if len(found) == 1:
            return found[0]
        names = ", ".join(one.name or one.id for one in await self.directory.organizations())
        if name is None:
            message = "there are several organizations" if found else "there is no organization yet"
            hint = f"name one with --organization: {names}" if found else "run `reconciler apply`"
            raise UsageError(message, hint=hint)
        message = f'there is no organization "{name}"'
        raise UsageError(message, hint=f"there are: {names}" if names else None)

    async def execution(self, id_: str) -> Execution:
        """Read an execution by its id or the beginning of it; raises UsageError for none or many."""
        found = await self.begun_with(id_)
        if found is None:
            message = f'there is no execution "{id_}"'
            raise UsageError(message, hint="`reconciler executions list` shows the last ones")
        return found

    async def begun_with(self, id_: str) -> Execution | None:
        """Find an execution by its id or the beginning of it; raises UsageError for several."""
        found = await self.executions.get(None, id_)
        if found is not None or not _BEGINNING.fullmatch(id_):
            return found
        known = await self.executions.beginning(id_)
        if len(known) > 1:
            message = f'several executions begin with "{id_}"'
            raise UsageError(message, hint=f"such as {known[0]} and {known[1]}")
        return await self.executions.get(None, known[0]) if known else None

    async def link(self, settings: Settings, one: Execution) -> str | None:
        """Tell where n8n's own editor shows a run; None when that is not known."""
        run = one.summary.n8n_execution_id
        if settings.n8n_url is None or run is None:
            return None
        [automation] = await self.directory.automations(one.summary.automation_id)
        if automation.workflow_id is None:
            return None
        base = settings.n8n_url.rstrip("/")
        return f"{base}/workflow/{automation.workflow_id}/executions/{run}"

    async def run(self, name: str, data: object, trigger: str | None, key: str | None) -> Accepted:
        """Ask for a run; raises UsageError and ConflictError when there will be none.

        A *key* that is known gives its first execution, if that got the same input.
        """
        self.who.require(Action.AUTOMATIONS_RUN)
        _require_usable("--key", key)
        automation = await self.automation(name)
        if not automation.startable:
            message = f"{automation.label} can't be started from outside: {NOT_STARTABLE}"
            raise ConflictError(
                message, hint="give its workflow a manual, webhook or schedule trigger"
            )
        try:
            way = way_of_hand(await self.directory.triggers(automation.id), trigger)
        except UnknownTrigger as error:
            message = f"{automation.label}: {error}"
            raise UsageError(message) from None
        new = NewExecution(
            automation_id=automation.id,
            cause=way.cause,
            trigger_data=data,  # type: ignore[arg-type]  # JSON that was read
            trigger_id=way.trigger_id,
            idempotency_key=None if key is None else f"manual:{key}",
            metadata={"by": self.who.name},
        )
        [accepted] = await self.executions.insert([new])
        _require_accepted(accepted, automation.label)
        if accepted.fresh:
            await notify(self.database)
        elif accepted.id is not None and not await repeats(self.database, accepted.id, new):
            message = f'the key "{key}" was used for another input or trigger: {accepted.id}'
            hint = f"another run needs another key; `reconciler executions show {accepted.id}`"
            raise ConflictError(message, hint=hint)
        return accepted

    async def retry(self, id_: str) -> Accepted:
        """Ask for an execution again; raises UsageError and ConflictError."""
        self.who.require(Action.EXECUTIONS_RETRY)
        old = await self.execution(id_)
        accepted = await self.executions.retry(None, old.summary.id)
        _require_accepted(accepted, f"{old.summary.organization}/{old.summary.automation}")
        await notify(self.database)
        return accepted

    async def cancel(self, id_: str) -> Cancelled:
        """Cancel an execution; raises UsageError for an unknown id."""
        self.who.require(Action.EXECUTIONS_CANCEL)
        found = await self.execution(id_)
        done = await self.executions.cancel(None, found.summary.id)
        await notify(self.database)
        return done

    async def count_open(self, filters: Filters) -> Open:
        """Count what waits and what runs, of those that *filters* choose."""
        self.who.require(Action.EXECUTIONS_VIEW)
        return await self.executions.count_open(filters)

    async def cancel_all(self, filters: Filters) -> Open:
        """Cancel what *filters* choose and what has not ended; raises ConflictError."""
        self.who.require(Action.EXECUTIONS_CANCEL)
        done = await self.executions.cancel_all(filters)
        await notify(self.database)
        return done

    async def send(
        self, organization: str | None, type_: str, data: dict[str, object], id_: str | None
    ) -> Sent:
        """Send an event; raises UsageError for a wrong type or id, ConflictError for a taken id."""
        self.who.require(Action.EVENTS_SEND)
        _require_usable("--id", id_)
        home = await self.organization(organization)
        new = NewEvent(
            organization_id=home.id,
            id=new_id() if id_ is None else id_,
            type=type_,
            data=data,  # type: ignore[arg-type]  # JSON that was read
            sent_by=self.who.name,
        )
        try:
            sent = await self.events.send(new)
        except ValueError as error:
            raise UsageError(str(error)) from None
        await notify(self.database)
        return sent

    async def make_token(self, wanted: TokenWish) -> tuple[Secret, NewToken]:
        """Make a token; its text is given here and nowhere else. Raises UsageError."""
        self.who.require(Action.TOKENS_MANAGE)
        if wanted.lasts is not None and not timedelta() < wanted.lasts <= MOST:
            message = f"a token lasts at most {MOST.days} days"
            raise UsageError(message, hint="--expires 365d, or `never` where that must be")
        home = await self.organization(wanted.organization)
        id_ = new_id()
        secret, digest = mint("api", id_, os.urandom(SECRET_BYTES))
        new = NewToken(
            id=id_,
            organization_id=home.id,
            name=wanted.name,
            role=wanted.role.value,
            scopes=sorted(scope.value for scope in wanted.scopes),
            digest=digest,
            created_by=self.who.name,
            lasts=wanted.lasts,
            email=wanted.email,
        )
        created, _ = await self.tokens.create(new)
        if not created:
            message = f"{wanted.email} is not a member of {home.name or home.title}"
            raise UsageError(message, hint="add the person to the organization's members")
        return secret, new

    async def revoke_tokens(self, organization: str | None, named: Sequence[str]) -> list[str]:
        """Revoke tokens by id or name; raises UsageError when one of them is unknown."""
        self.who.require(Action.TOKENS_MANAGE)
        home = None if organization is None else (await self.organization(organization)).id
        known = await self.tokens.listed(home)
        for one in named:
            if not any(one in {token.id, token.name} for token in known):
                message = f'there is no token "{one}"'
                raise UsageError(message, hint="`reconciler token list` shows them")
        return await self.tokens.revoke(home, named)

    async def dispatch_again(
        self, organization: str | None, id_: str
    ) -> tuple[EventRecord, list[Started]]:
        """Dispatch an event once more; raises UsageError for an unknown one."""
        self.who.require(Action.EVENTS_SEND)
        home = None if organization is None else (await self.organization(organization)).id
        found = await self.records.get(home, id_)
        if found is None:
            message = f'there is no event "{id_}"'
            raise UsageError(message, hint="`reconciler events list` shows the last ones")
        await self.records.again(found.organization_id, id_)
        await self.events.dispatch_one(found.organization_id, id_)
        await notify(self.database)
        again = await self.records.get(found.organization_id, id_)
        return again or found, await self.events.started(found.organization_id, id_)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenWish:
    """What a token should be; *lasts* None: for ever."""

    organization: str | None
    name: str
    role: Role
    scopes: frozenset[Action]
    lasts: timedelta | None
    email: str | None


def _require_usable(flag: str, given: str | None) -> None:
    if given is None or re.fullmatch(CALLERS_KEY, given):
        return
    message = f"{flag} takes 1 to 200 characters of ASCII, and no blanks"
    raise UsageError(message, hint=None if given else "it is empty: is a variable not set?")


def _require_accepted(accepted: Accepted, label: str) -> None:
    match accepted.refusal:
        case None:
            return
        case Refusal.INACTIVE:
            message = f"{label} is switched off"
            raise ConflictError(message, hint="set `active: true` in its spec and apply")
        case Refusal.FULL:
            message = f"as many runs of {label} wait as may wait"
            raise ConflictError(message, hint="`reconciler executions list` shows what waits")
        case Refusal.UNSTORABLE:
            message = "the input holds what can't be stored: NUL or half a character"
            raise UsageError(message)
        case _:
            message = f"{label} is gone"
            raise UsageError(message)


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Connect to the database; raises ConfigError or UnreachableError.

    Whoever can log in to it may do everything with it, so that is what the command line may do.
    """
    who = Principal(name=f"{actor()}@{socket.gethostname()}", role=Role.ADMIN, organization_id=None)
    async with open_database(settings) as database:
        yield Desk(database, who)
