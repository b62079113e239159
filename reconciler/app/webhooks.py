"""Wires the webhook routes: PostgreSQL, the vault and the application that answers.

Not here: the server, and whether this daemon has the role (`reconciler.app.roles`).
"""

from __future__ import annotations

from reconciler.app import keyring, new_id
from reconciler.engine.data_keys import StoreDataKeys
from reconciler.settings import Settings
from reconciler.store.database import Database
from reconciler.store.deliveries import Deliveries
from reconciler.store.executions import Executions
from reconciler.store.keys import KeyStore
from reconciler.store.notify import Notifier
from reconciler.store.replies import Replies
from reconciler.store.webhooks import Webhooks
from reconciler.web.secrets import HookSecrets
from reconciler.web.waiting import Waiting
from reconciler.web.webhooks import PREFIX, WebhookApp


def webhook_routes(
    settings: Settings, database: Database, executions: Executions, notifier: Notifier
) -> dict[str, WebhookApp]:
    """Make what goes into `make_app(direct=...)`; call `rejections.flush()` of it at the end."""
    return {
        PREFIX: WebhookApp(
            Webhooks(database),
            Deliveries(database, new_id=new_id),
            HookSecrets(keyring(settings), StoreDataKeys(KeyStore(database))),
            notifier,
            Waiting(executions, Replies(database)),
        )
    }
