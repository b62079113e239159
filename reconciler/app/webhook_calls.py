"""Calls to one's own webhooks: the secret as `apply` reads it, signed as a sender would, sent.

Not here: the server's side (`reconciler.web.webhooks`), nor printing.
"""

from __future__ import annotations

import asyncio
import http.client
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

from reconciler.app import existing_root, load_specs, new_id, open_database
from reconciler.app.desk import open_desk
from reconciler.app.secrets import environment, secret_sources
from reconciler.diagnostics import SpecError
from reconciler.errors import UnreachableError, UsageError
from reconciler.kinds.trigger import TriggerSpec, is_live
from reconciler.kinds.trigger_kind import webhook_url
from reconciler.resource.address import Address
from reconciler.settings import Settings
from reconciler.spec.link import Loaded, Resource
from reconciler.spec.problems import did_you_mean
from reconciler.store.refusals import Refusal, newest
from reconciler.store.webhooks import Listed, Webhooks
from reconciler.trigger.events import TriggerType
from reconciler.trigger.signature import Auth, Live, sign
from reconciler.vault.secrets import SecretReference

_TIMEOUT = 75.0  # seconds: more than the longest ?wait=
_MOST = 16 * 1024 * 1024  # bytes of an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A call: what is sent, and with which proof."""

    body: bytes
    method: str
    content_type: str
    id: str | None = None
    headers: Mapping[str, str] | None = None
    wait: str | None = None
    query: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes


async def listed(settings: Settings) -> list[Listed]:
    """List the webhooks that are applied."""
    async with open_database(settings) as database:
        return await Webhooks(database).all()


async def refused(settings: Settings, automation: str | None, limit: int) -> list[Refusal]:
    """List the calls that were refused, newest first; raises UsageError for an unknown *automation*."""
    async with open_desk(settings) as desk, open_database(settings) as database:
        id_ = None if automation is None else (await desk.automation(automation)).id
        return await newest(database, id_, limit)


async def signed_headers(
    settings: Settings, name: str, call: Outgoing, now: datetime
) -> dict[str, str]:
    """Give the headers that let *call* in at the webhook *name* of the specs.

    Raises UsageError for an unknown name, ConfigError for a secret that is not set.
    """
    return await _headers(settings, find(load_specs(existing_root(settings)), name), call, now)


async def send(
    settings: Settings, name: str, call: Outgoing, now: datetime, *, base: str | None
) -> Answer:
    """Send *call* to the webhook *name*, at *base* or where the daemon can be reached publicly.

    Raises UnreachableError when nobody answers there.
    """
    resource = find(load_specs(existing_root(settings)), name)
    headers = await _headers(settings, resource, call, now)
    applied = _applied(await listed(settings), resource)
    url = webhook_url(base or settings.public_url, applied.trigger)
    url = url.replace("{automation}", quote(applied.automation_id, safe=""))
    query = [*call.query, *([] if call.wait is None else [("wait", call.wait)])]
    if query:
        url += "?" + urlencode(query, errors="surrogateescape")
    return await asyncio.to_thread(_send, url, call, headers)


async def _headers(
    settings: Settings, resource: Resource, call: Outgoing, now: datetime
) -> dict[str, str]:
    auth = await _auth(settings, _spec(resource), now)
    headers = {"Content-Type": call.content_type} if call.body else {}
    try:
        proof = sign(auth, call.body, id_=call.id or new_id(), now=now)
    except ValueError as error:
        message = f"the secret of {resource.address} can't sign: {error}"
        raise UsageError(message) from None
    return {**headers, **proof, **(call.headers or {})}


async def _auth(settings: Settings, spec: TriggerSpec, now: datetime) -> Auth:
    auth = spec.auth
    assert auth is not None
    live = [secret.secret_ref for secret in auth.secrets if is_live(secret, now)]
    references = [auth.secret_ref] if auth.secret_ref is not None else live
    secrets: tuple[Live, ...] = ()
    if references:
        source = secret_sources(settings, environment(settings))
        first = references[0]
        secret = await source.read(SecretReference(env=first.env, file=first.file, age=first.age))
        secrets = (Live(value=secret.reveal()),)
    elif auth.secrets:
        message = "all secrets of this webhook have ended"
        raise UsageError(message, hint="give one a later notAfter, or none")
    return Auth(scheme=auth.scheme.value, header=auth.header, secrets=secrets)


def find(loaded: Loaded, name: str) -> Resource:
    """Find the webhook that *name* means, such as invoice-intake or acme/invoice-intake.orders.

    Raises UsageError when there is none or several, SpecError when broken files may be why.
    """
    webhooks = list(_webhooks(loaded.resources))
    found = [one for one in webhooks if name in _names(one)]
    if len(found) == 1:
        return found[0]
    labels = [f"{one.address.organization}/{one.address.name}" for one in found or webhooks]
    if found:
        message = f'"{name}" may be one of {", ".join(labels)}'
        raise UsageError(message, hint="name it in full")
    errors = tuple(one for one in loaded.diagnostics if one.is_error)
    if errors:
        raise SpecError(errors)
    known = {each for one in webhooks for each in _names(one)}
    message = f'the specs have no webhook "{name}"'
    hint = did_you_mean(name, known, f"there are {', '.join(labels)}" if labels else "")
    raise UsageError(message, hint=hint or "a trigger of type WEBHOOK is one")


def _webhooks(resources: Iterable[Resource]) -> Iterable[Resource]:
    for resource in resources:
        spec = resource.spec
        if isinstance(spec, TriggerSpec) and spec.type is TriggerType.WEBHOOK and spec.auth:
            yield resource


def _spec(resource: Resource) -> TriggerSpec:
    assert isinstance(resource.spec, TriggerSpec)
    return resource.spec


def _names(resource: Resource) -> set[str]:
    home, own = resource.address.organization, resource.address.name
    automation = _spec(resource).automation
    return {
        own, automation, f"{home}/{own}", f"{home}/{automation}", str(resource.address),
        str(Address(home, "Automation", automation)),
    }  # fmt: skip


def _applied(rows: Iterable[Listed], resource: Resource) -> Listed:
    address = resource.address
    for row in rows:
        if (row.organization, row.name) == (address.organization, address.name):
            return row
    message = f"{address.organization}/{address.name} is not applied yet"
    raise UsageError(message, hint="run `reconciler apply`")


def _send(url: str, call: Outgoing, headers: Mapping[str, str]) -> Answer:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = f"{url} is not an address of ours"
        raise UsageError(message, hint="--url is such as http://127.0.0.1:8080")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(call.method, target, body=call.body, headers=dict(headers))
        answer = connection.getresponse()
        content = answer.read(_MOST)
    except (OSError, http.client.HTTPException) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        message = f"{parts.scheme}://{parts.netloc} does not answer: {reason}"
        hint = "is a daemon running there? --url names another address"
        raise UnreachableError(message, hint=hint) from None
    finally:
        connection.close()
    return Answer(
        url=url,
        status=answer.status,
        headers={name.lower(): value for name, value in answer.getheaders()},
        content=content,
    )
