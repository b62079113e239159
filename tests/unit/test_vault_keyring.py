"""Master keys and data keys: only good keys start, earlier ones are still read."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence

import pytest

from reconciler.errors import ConfigError, ExitCode
from reconciler.vault.data_keys import WrappedKey, new_data_key, open_box, unwrap
from reconciler.vault.envelope import EnvelopeError
from reconciler.vault.keyring import Keyring


def key(word: str) -> str:
    """Make a key for tests that nobody mistakes for a real one."""
    return hashlib.sha256(word.encode()).hexdigest()


class MemoryDataKeys:
    """Wrapped keys in a list; one active key for each organization, as in the database."""

    def __init__(self) -> None:
        self.stored: list[WrappedKey] = []

    async def load(self, organization: str) -> Sequence[WrappedKey]:
        await asyncio.sleep(0)
        return [key for key in self.stored if key.organization == organization]

    async def save(self, key: WrappedKey) -> None:
        await asyncio.sleep(0)
        if not any(k.active and k.organization == key.organization for k in self.stored):
            self.stored.append(key)


BAD_KEYS = {
    "empty": "",
    "short": key("a")[:-1],
    "long": key("a") + "0",
    "upper case": key("a").upper(),
    "not hex": "z" * 64,
    "a newline": key("a") + "\n",
    "a space before": " " + key("a")[:-1],
    "zeros": "0" * 64,
    "one byte repeated": "ab" * 32,
    "a word repeated": "deadbeef" * 8,
    "counting": bytes(range(32)).hex(),
    "counting down in threes": bytes(200 - 3 * n for n in range(32)).hex(),
    "digits of other scripts": "\u0661" * 64,
}


@pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_a_bad_key_stops_the_start_and_is_never_echoed(bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Keyring.parse(bad)

    assert caught.value.exit_code is ExitCode.BAD_CONFIGURATION
    shown = f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert not bad.strip() or bad.strip() not in shown


def test_a_bad_earlier_key_is_refused_and_never_echoed() -> None:
    with pytest.raises(ConfigError, match="ENCRYPTION_KEYS_OLD") as caught:
        Keyring.parse(key("now"), f"{key('before')},{key('x')[:-2]}")

    assert key("before")[:8] not in str(caught.value)
    assert key("x")[:8] not in str(caught.value)


def test_earlier_keys_are_separated_by_commas_and_the_current_one_comes_first() -> None:
    keyring = Keyring.parse(key("now"), f"{key('b')}, {key('a')}")

    assert [key("now"), key("b"), key("a")] == [k.raw.hex() for k in keyring.keys]


def test_a_keyring_does_not_show_its_keys() -> None:
    keyring = Keyring.parse(key("now"), key("before"))

    assert key("now")[:8] not in repr(keyring)
    assert str(keyring.current.raw)[2:10] not in repr(keyring)


async def test_an_organization_gets_one_data_key_and_keeps_it() -> None:
    keyring, store = Keyring.parse(key("now")), MemoryDataKeys()

    first = await open_box(keyring, store, "acme")
    second = await open_box(keyring, store, "acme")

    assert first.active == second.active
    assert second.open("crm", first.seal("crm", "s3cret")) == "s3cret"
    assert len(store.stored) == 1
    assert first.keys[first.active].hex() not in repr(first)


async def test_two_processes_that_start_at_once_use_the_same_data_key() -> None:
    keyring, store = Keyring.parse(key("now")), MemoryDataKeys()

    boxes = await asyncio.gather(*(open_box(keyring, store, "acme") for _ in range(5)))

    assert len({box.active for box in boxes}) == 1


async def test_organizations_do_not_share_a_data_key() -> None:
    keyring, store = Keyring.parse(key("now")), MemoryDataKeys()
    acme = await open_box(keyring, store, "acme")
    globex = await open_box(keyring, store, "globex")
    sealed = acme.seal("crm", "s3cret")

    with pytest.raises(EnvelopeError):
        globex.open("crm", sealed)


async def test_after_a_change_of_the_master_key_the_earlier_one_still_opens_everything() -> None:
    store = MemoryDataKeys()
    sealed = (await open_box(Keyring.parse(key("before")), store, "acme")).seal("crm", "s3cret")

    box = await open_box(Keyring.parse(key("now"), key("before")), store, "acme")

    assert box.open("crm", sealed) == "s3cret"
    assert box.is_current(sealed)


async def test_a_master_key_changed_without_keeping_the_earlier_one_is_a_clear_error() -> None:
    store = MemoryDataKeys()
    await open_box(Keyring.parse(key("before")), store, "acme")

    with pytest.raises(EnvelopeError, match="another master key") as caught:
        await open_box(Keyring.parse(key("now")), store, "acme")

    assert "ENCRYPTION_KEYS_OLD" in str(caught.value.hint)


def test_a_wrapped_key_moved_to_another_organization_is_refused() -> None:
    keyring = Keyring.parse(key("now"))
    wrapped = new_data_key(keyring, "acme")
    moved = WrappedKey(id=wrapped.id, organization="globex", wrapped=wrapped.wrapped)

    assert len(unwrap(keyring, wrapped)) == 32
    with pytest.raises(EnvelopeError):
        unwrap(keyring, moved)


async def test_a_value_in_the_seeds_form_opens_and_is_due_to_be_rewritten() -> None:
    seed = {
        "iv": "000102030405060708090a0b0c0d0e0f",
        "data": "ffba013511c1665f5e7b9e13d02b9e848623b3",
        "tag": "74933511e2569757c6b8e9dd6c2ae6e3",
    }
    keyring = Keyring.parse(key("now"), key("a key for tests"))
    box = await open_box(keyring, MemoryDataKeys(), "acme")

    assert json.loads(box.open("crm", json.dumps(seed))) == {"token": "grüße"}
    assert not box.is_current(json.dumps(seed))
    assert not box.is_current("v1:gone:AAAA")
