"""The owner account and the API key of our own n8n, made without a person.

Both are kept in 0600 files: the owner's e-mail and password so that a person can log in to the
editor, the key for us. Not here: n8n's public API (`reconciler.n8n`).
"""

from __future__ import annotations

import json
import secrets
import string
import urllib.error
import urllib.request
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

from reconciler.embedded.files import ensure_secret, locked, write_private
from reconciler.errors import ConfigError, N8nError, N8nUnauthorized, N8nUnreachable

EMAIL = "owner@example.com"
KEY_LABEL = "reconciler up"
TIMEOUT_SECONDS = 30


def ensure_api_key(url: str, folder: Path) -> str:
    """Return an API key that the n8n at *url* accepts, making owner and key when needed.

    Raises ConfigError when n8n has an owner that is not ours, N8nUnreachable when it does not
    answer, N8nError when it refuses.
    """
    key_file = folder / "api-key"
    with locked(folder / "owner.lock"):
        try:
            key = key_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            key = ""
        if key and _is_accepted(url, key):
            return key
        key = _new_key(url, _log_in(url, folder))
        write_private(key_file, key + "\n")
        return key


def owner(folder: Path) -> dict[str, str]:
    """Return `email` and `password` of the owner: kept in a 0600 file, made at the first call."""
    fresh = {"email": EMAIL, "password": _new_password()}
    kept: dict[str, str] = json.loads(ensure_secret(folder / "owner.json", json.dumps(fresh)))
    return kept


def _new_password() -> str:
    # n8n asks for 8 to 64 characters with a digit and a capital letter.
    alphabet = string.ascii_letters + string.digits
    return "R1" + "".join(secrets.choice(alphabet) for _ in range(30))


def _is_accepted(url: str, key: str) -> bool:
    try:
        _call(url, "/api/v1/workflows?limit=1", headers={"X-N8N-API-KEY": key})
    except N8nUnauthorized:
        return False
    return True


def _log_in(url: str, folder: Path) -> str:
    """Return the session cookie of the owner, who is set up when n8n has none."""
    known = owner(folder)
    settings, _ = _call(url, "/rest/settings")
    management = settings["data"]["userManagement"]
    if management["showSetupOnFirstLoad"]:
        body = {**known, "firstName": "Reconciler", "lastName": "Owner"}
        _, cookie = _call(url, "/rest/owner/setup", body)
        return cookie
    body = {"emailOrLdapLoginId": known["email"], "password": known["password"]}
    try:
        _, cookie = _call(url, "/rest/login", body)
    except N8nUnauthorized as error:
        raise ConfigError(
            f"the n8n at {url} has an owner whose password is not the one in {folder}/owner.json",
            hint="write that owner's e-mail and password there, or an API key made in the editor"
            f" into {folder}/api-key",
        ) from error
    return cookie


def _new_key(url: str, cookie: str) -> str:
    headers = {"Cookie": cookie}
    # A key is shown once, so one whose file was lost is of no use: it goes.
    known, _ = _call(url, "/rest/api-keys", headers=headers)
    for entry in _entries(known):
        if entry.get("label") == KEY_LABEL:
            _call(url, f"/rest/api-keys/{entry['id']}", headers=headers, method="DELETE")
    scopes, _ = _call(url, "/rest/api-keys/scopes", headers=headers)
    body = {"label": KEY_LABEL, "expiresAt": None, "scopes": scopes["data"]}
    answer, _ = _call(url, "/rest/api-keys", body, headers=headers)
    return str(answer["data"]["rawApiKey"])


def _entries(answer: dict[str, Any]) -> list[dict[str, Any]]:
    data = answer["data"]
    return list(data if isinstance(data, list) else data["items"])


def _call(
    url: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    headers: dict[str, str] | None = None,
    method: str | None = None,
) -> tuple[dict[str, Any], str]:
    """Send one request; return the answer and the session cookie that came with it."""
    request = urllib.request.Request(
        url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            cookies = SimpleCookie(", ".join(answer.headers.get_all("Set-Cookie") or []))
            text = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            detail = error.read(2000).decode("utf-8", "replace")
        if error.code == 401:
            raise N8nUnauthorized(f"n8n refuses the login for {path} (401)") from error
        raise N8nError(
            f"n8n answered {error.code} to {path}", status=error.code, detail=detail
        ) from error
    except OSError as error:
        raise N8nUnreachable(f"n8n at {url} does not answer: {error}") from error
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
    return (json.loads(text) if text else {}), cookie
