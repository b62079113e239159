"""A daemon's webhook server on a real PostgreSQL, in this process, and calls to it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from reconciler.app import new_id
from reconciler.engine.data_keys import StoreDataKeys
from reconciler.store.database import Database
from reconciler.store.deliveries import Deliveries
from reconciler.store.executions import Executions
from reconciler.store.keys import KeyStore
from reconciler.store.notify import Notifier
from reconciler.store.replies import Replies
from reconciler.store.webhooks import Webhooks
from reconciler.trigger.signature import Auth, Live, sign
from reconciler.vault.data_keys import open_box
from reconciler.vault.keyring import Keyring
from reconciler.web.app import make_app
from reconciler.web.connection import Clocks
from reconciler.web.limits import BodyLimits
from reconciler.web.secrets import HookSecrets
from reconciler.web.server import HttpServer
from reconciler.web.waiting import Waiting
from reconciler.web.webhooks import PREFIX, WebhookApp
from tests.integration.tenants import Tenants

KEYRING = Keyring.parse(hashlib.sha256(b"webhook tests").hexdigest())
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
JSON = {"content-type": "application/json"}


@dataclass(slots=True)
class Hooks:
    """The server, and ways to call it as a sender would."""

    url: str
    app: WebhookApp
    executions: Executions
    client: httpx.AsyncClient

    async def call(
        self, path: str = "acme-intake", body: Any = None, *, method: str = "POST", **more: Any
    ) -> httpx.Response:
        """Call a webhook; a body that is no bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body or {"n": 1}).encode()
        headers = {**JSON, **more.pop("headers", {})}
        return await self.client.request(
            method, PREFIX + path, content=content, headers=headers, **more
        )

    async def signed(
        self, path: str = "acme-intake", body: bytes = b'{"n": 1}', **more: Any
    ) -> httpx.Response:
        """Call with a signature (scheme, secret, id_, now as given)."""
        auth = Auth(
            scheme=more.pop("scheme", "standard-webhooks"),
            header=more.pop("header", None),
            secrets=(Live(value=more.pop("secret", SECRET)),),
        )
        now = more.pop("now", None) or datetime.now(UTC)
        headers = sign(auth, body, id_=more.pop("id_", new_id()), now=now)
        return await self.call(path, body, headers={**headers, **more.pop("headers", {})}, **more)


def parts(database: Database) -> tuple[WebhookApp, Executions, Notifier]:
    """Wire the webhook application as the daemon does, with a key for tests."""
    notifier = Notifier(database)
    executions = Executions(database, new_id=new_id, notifier=notifier)
    app = WebhookApp(
        Webhooks(database),
        Deliveries(database, new_id=new_id),
        HookSecrets(KEYRING, StoreDataKeys(KeyStore(database))),
        notifier,
        Waiting(executions, Replies(database)),
    )
    return app, executions, notifier


@asynccontextmanager
async def serving(
    database: Database, *, limits: BodyLimits | None = None, clocks: Clocks | None = None
) -> AsyncIterator[Hooks]:
    """Serve webhooks on a free port."""
    app, executions, notifier = parts(database)
    listening = asyncio.Event()
    server = HttpServer(
        make_app([], direct={PREFIX: app}, limits=limits),
        "127.0.0.1",
        0,
        listening=lambda _: listening.set(),
        clocks=clocks,
    )
    stopping = asyncio.Event()
    task = asyncio.create_task(server.run(stopping))
    await listening.wait()
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=30, trust_env=False) as client:
            yield Hooks(server.url, app, executions, client)
    finally:
        stopping.set()
        await task
        await app.rejections.close()
        await notifier.close()


async def seal(database: Database, organization: str, trigger: str, *secrets: str) -> str:
    """Encrypt a trigger's secrets as `apply` does."""
    box = await open_box(KEYRING, StoreDataKeys(KeyStore(database)), organization)
    return box.seal(trigger, json.dumps({str(n): s for n, s in enumerate(secrets)}))


async def hook(
    database: Database,
    tenants: Tenants,
    automation: str = "acme-intake",
    name: str = "hook",
    **changes: Any,
) -> str:
    """Make a webhook trigger; *changes*: scheme, secrets, header, methods, not_after, columns."""
    secrets = changes.pop("secrets", (SECRET,))
    scheme = changes.pop("scheme", "standard-webhooks")
    auth = {
        "scheme": scheme,
        "header": changes.pop("header", None),
        "methods": changes.pop("methods", ["POST"]),
        "notAfter": changes.pop("not_after", [None] * len(secrets)),
    }
    organization = automation.partition("-")[0]
    sealed = None
    if scheme != "none":
        sealed = await seal(database, organization, f"{automation}-{name}", *secrets)
    return tenants.trigger(
        automation,
        name,
        triggerType="WEBHOOK",
        triggerEvent="webhook.received",
        auth=json.dumps(auth),
        authSecrets=sealed,
        webhookUrl=f"https://hooks.example{PREFIX}{automation}/{name}",
        **changes,
    )
