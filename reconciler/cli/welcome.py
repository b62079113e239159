"""What `up` says once everything runs: where things are, and a call that starts something.

Not here: starting it.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from reconciler.cli.output import painter, result
from reconciler.errors import ReconcilerError
from reconciler.settings import Settings

if TYPE_CHECKING:
    from reconciler.store.database import Database
    from reconciler.store.webhooks import Listed, Route

BODY: Final = '{"hello": "world"}'
# A signature over body and time is refused after five minutes, a bearer token is a secret: those
# calls are better made by `webhook send`.
_COPYABLE: Final = ("none", "hmac-sha256", "github")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstCall:
    """How to call the first webhook; *curl* is None where a copied call would not do."""

    name: str
    curl: str | None


async def first_call(settings: Settings) -> FirstCall | None:
    """Find the webhook that is easiest to call; None: there is none, or it can't be found out."""
    from reconciler.app import open_database
    from reconciler.store.webhooks import Webhooks

    try:
        async with open_database(settings) as database:
            webhooks = Webhooks(database)
            listed = [one for one in await webhooks.all() if one.active and one.auth]
            if not listed:
                return None
            chosen = min(listed, key=_difficulty)
            routes = (await webhooks.routes([chosen.automation_id])).get(chosen.automation_id, ())
            route = next((one for one in routes if one.trigger_id == chosen.trigger_id), None)
            curl = None if route is None else await _curl(settings, database, route)
            return FirstCall(name=_name(chosen), curl=curl)
    except ReconcilerError:
        return None


def tell(settings: Settings, call: FirstCall | None, *, serving: bool = True) -> None:
    """Print it; the last line is the sign that everything runs. *serving*: the daemon runs, too."""
    paint = painter(sys.stdout)
    owner = settings.state / "n8n" / "owner.json"
    result("")
    result(f"n8n editor   {paint('bold', str(settings.n8n_url))}")
    if owner.is_file():
        result(f"  log in with the e-mail and password in {owner}")
    if serving:
        url = paint("bold", settings.public_url)
        result(f"API          {url} - /readyz, /metrics, /api/...")
    else:
        result("no daemon    `reconciler daemon` starts one: until then nothing runs by itself")
    if call is not None:
        result(f"webhook      {call.name}; start it with")
        if call.curl:
            result(f"             {call.curl}")
        result(f"             reconciler webhook send {call.name} --body '{BODY}'")
        result("             reconciler executions watch")
    result(f"specs        {settings.specs}/ - edit a file, then in another shell:")
    result("             reconciler plan     shows exactly your change")
    result("             reconciler apply    makes it")
    result("             reconciler status   shows how everything is")
    result("Ctrl-C stops what was started here; the state is kept.")


def _difficulty(webhook: Listed) -> int:
    scheme = webhook.auth.get("scheme")
    return _COPYABLE.index(scheme) if scheme in _COPYABLE else len(_COPYABLE)


def _name(webhook: Listed) -> str:
    return f"{webhook.organization}/{webhook.name}"


async def _curl(settings: Settings, database: Database, route: Route) -> str | None:
    from reconciler.app import keyring
    from reconciler.engine.data_keys import StoreDataKeys
    from reconciler.store.keys import KeyStore
    from reconciler.trigger.signature import sign
    from reconciler.web.secrets import HookSecrets

    if route.auth.get("scheme") not in _COPYABLE:
        return None
    auth = await HookSecrets(keyring(settings), StoreDataKeys(KeyStore(database))).auth(route)
    if auth is None:
        return None
    headers = sign(auth, BODY.encode(), id_="", now=datetime.now(UTC))
    words = ["curl", "-H", "Content-Type: application/json"]
    for name, value in headers.items():
        if value:  # without an id, each copy of the call starts a run of its own
            words += ["-H", f"{name}: {value}"]
    return shlex.join([*words, "-d", BODY, route.url])
