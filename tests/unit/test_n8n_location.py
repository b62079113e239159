"""Addresses of n8n as people write them."""

from __future__ import annotations

import pytest

from reconciler.errors import ConfigError
from reconciler.n8n.location import locate


@pytest.mark.parametrize(
    "text,url",
    [
        ("http://127.0.0.1:5678", "http://127.0.0.1:5678"),
        ("http://127.0.0.1:5678/", "http://127.0.0.1:5678"),
        ("http://127.0.0.1:5678/api/v1", "http://127.0.0.1:5678"),
        (" http://127.0.0.1:5678/api/v1/ ", "http://127.0.0.1:5678"),
        ("https://Flows.Example", "https://flows.example"),
        ("https://flows.example/n8n/api/v1/", "https://flows.example/n8n"),
        ("http://[::1]:5678", "http://[::1]:5678"),
    ],
)
def test_an_address_may_be_written_in_several_ways(text: str, url: str) -> None:
    place = locate(text)
    assert url == place.url
    assert f"{url}/api/v1/workflows" == place.api("/workflows")
    assert f"{url}/webhook/abc" == place.webhook("abc")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:5678",
        "ftp://flows.example",
        "file:///etc/passwd",
        "http://",
        "http://flows.example:port",
        "http://flows.example:99999",
        "http://flows.example?x=1",
        "http://flows.example#x",
        "http://someone:password@flows.example",
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        locate(text)
    assert "password@" not in f"{caught.value} {caught.value.hint}"


def test_a_forgotten_scheme_is_suggested() -> None:
    with pytest.raises(ConfigError) as caught:
        locate("localhost:5678")
    assert caught.value.hint == "for example http://localhost:5678"


@pytest.mark.parametrize(
    "text,loopback",
    [
        ("http://localhost:1", True),
        ("http://127.8.8.8", True),
        ("http://[::1]", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
    ],
)
def test_this_machine_is_known(text: str, loopback: bool) -> None:
    assert loopback is locate(text).loopback
