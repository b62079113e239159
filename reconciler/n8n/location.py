"""Where n8n is: turns what a person writes into the addresses of its API and webhooks. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from reconciler.errors import ConfigError, N8nInvalid

_API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Location:
    """The address of one n8n, without a slash at the end."""

    url: str
    tls: bool
    loopback: bool

    def api(self, path: str) -> str:
        """Give the full address of *path* in the public API."""
        return f"{self.url}{_API}{_quoted(path)}"

    def webhook(self, path: str) -> str:
        """Give the full address of the production webhook at *path*."""
        return f"{self.url}/webhook/{_quoted(path)}"


def locate(text: str) -> Location:
    """Read an address with or without a slash or ``/api/v1`` at the end; raises ConfigError."""
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"}:
        host = text.strip().removeprefix("//").partition("@")[0]
        raise ConfigError(
            "the address of n8n must begin with http:// or https://",
            hint=f"for example http://{host}"
            if parts.scheme in {"", "localhost"} and host
            else None,
        )
    host, port = _host_and_port(text)
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "the address of n8n must not contain a user name or password",
            hint="n8n is called with its API key only (N8N_API_KEY)",
        )
    if parts.query or parts.fragment:
        raise ConfigError("the address of n8n must not contain a query or a fragment")
    path = parts.path.rstrip("/").removesuffix(_API).rstrip("/")
    netloc = f"[{host}]" if ":" in host else host
    url = urlunsplit((parts.scheme, netloc if port is None else f"{netloc}:{port}", path, "", ""))
    return Location(url=url, tls=parts.scheme == "https", loopback=_is_loopback(host))


def _host_and_port(text: str) -> tuple[str, int | None]:
    parts = urlsplit(text.strip())
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("the address of n8n has an invalid port") from error
    if not host or any(character.isspace() for character in host):
        raise ConfigError("the address of n8n names no host")
    return host, port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _quoted(path: str) -> str:
    if any(segment in {".", ".."} for segment in path.split("/")):
        raise N8nInvalid(f"not a path in n8n: {path!r}", status=400)
    return quote(path, safe="/:@~!$&'()*+,;=")
