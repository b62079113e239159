"""The secrets of webhook triggers, decrypted when they are first needed and kept in memory.

Kept by their ciphertext: a secret that is written anew is read anew. Not here: the check of a
signature (`reconciler.trigger.signature`).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import datetime
from typing import Any

from reconciler.errors import ConfigError
from reconciler.kinds.trigger import Scheme
from reconciler.log import REDACTOR
from reconciler.store.webhooks import Route
from reconciler.trigger.signature import Auth, Live
from reconciler.vault.data_keys import Box, DataKeys, unwrap
from reconciler.vault.envelope import EnvelopeError, is_seed_form, key_id_of
from reconciler.vault.keyring import Keyring

_KEPT = 10_000  # triggers


class HookSecrets:
    """Opens what `workflow_triggers.authSecrets` holds."""

    def __init__(self, keyring: Keyring | None, data_keys: DataKeys) -> None:
        self._keyring = keyring
        self._data_keys = data_keys
        self._boxes: dict[str, Box] = {}
        self._opened: OrderedDict[tuple[str, str], Auth | None] = OrderedDict()
        self._last: dict[str, tuple[Route, Auth | None]] = {}

    async def auth(self, route: Route) -> Auth | None:
        """Give how callers of *route* prove who they are; None: nobody can.

        Raises ConfigError when the secrets can't be decrypted.
        """
        last = self._last.get(route.trigger_id)
        if last is not None and last[0] is route:  # not read again since: it says the same
            return last[1]
        auth = await self._auth(route)
        if len(self._last) > _KEPT:
            self._last.clear()
        self._last[route.trigger_id] = route, auth
        return auth

    async def _auth(self, route: Route) -> Auth | None:
        key = (route.trigger_id, f"{route.auth}\n{route.sealed}")
        if key in self._opened:
            self._opened.move_to_end(key)
            return self._opened[key]
        secrets = () if route.sealed is None else await self._open(route, route.sealed)
        auth = read_auth(route.auth, secrets)
        self._opened[key] = auth
        if len(self._opened) > _KEPT:
            self._opened.popitem(last=False)
        return auth

    async def _open(self, route: Route, sealed: str) -> tuple[str, ...]:
        box = self._boxes.get(route.organization_id)
        if box is None or (not is_seed_form(sealed) and key_id_of(sealed) not in box.keys):
            box = await self._box(route.organization_id)  # its data key may be new
        text = box.open(route.trigger_id, sealed)
        secrets = _numbered(text)
        REDACTOR.register(secrets)
        return secrets

    async def _box(self, organization: str) -> Box:
        if self._keyring is None:
            message = "ENCRYPTION_KEY is not set, so no webhook secret can be read"
            raise ConfigError(message, hint="set ENCRYPTION_KEY or ENCRYPTION_KEY_FILE")
        stored = await self._data_keys.load(organization)
        keys = {key.id: unwrap(self._keyring, key) for key in stored}
        active = next((key.id for key in stored if key.active), "")
        masters = tuple(master.raw for master in self._keyring.keys)
        box = Box(organization, active, keys, masters)
        self._boxes[organization] = box
        return box


def _numbered(text: str) -> tuple[str, ...]:
    """Read `{"0": secret, "1": secret}`."""
    try:
        data = json.loads(text)
        return tuple(str(data[number]) for number in sorted(data, key=int))
    except (ValueError, TypeError):
        message = "the stored secrets of a webhook are not in our form"
        raise EnvelopeError(message, hint="apply again with the secret set") from None


def read_auth(auth: Any, secrets: tuple[str, ...]) -> Auth | None:
    """Put what a row says and its *secrets* together; None when it lets nobody in.

    Raises ConfigError when it can't be read until when a secret is good.
    """
    if not isinstance(auth, dict) or auth.get("scheme") not in list(Scheme):
        return None
    ends = auth.get("notAfter")
    times = [] if ends is None else _moments(ends)
    times += [None] * (len(secrets) - len(times))
    header = auth.get("header")
    return Auth(
        scheme=str(auth["scheme"]),
        header=header if isinstance(header, str) else None,
        secrets=tuple(Live(value=s, not_after=t) for s, t in zip(secrets, times, strict=False)),
    )


def _moments(ends: Any) -> list[datetime | None]:
    try:
        times = [None if end is None else datetime.fromisoformat(end) for end in ends]
        known = all(time is None or time.tzinfo is not None for time in times)
    except (TypeError, ValueError):  # somebody else wrote the row
        known = False
    if not known:
        message = "until when a secret of a webhook is good is not a list of times with a zone"
        raise ConfigError(message, hint="apply again")
    return times


def methods_of(auth: Any) -> tuple[str, ...]:
    """Name the HTTP methods that a webhook accepts."""
    methods = auth.get("methods") if isinstance(auth, dict) else None
    if not isinstance(methods, list) or not methods:
        return ("POST",)
    return tuple(str(method) for method in methods)
