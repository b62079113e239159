"""Payloads on their way into the inventory and back."""

from __future__ import annotations

import gc
import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.plan.state import Recorded
from reconciler.resource.address import Address
from reconciler.resource.payload import Payload, Ref, Sealed, Side, digest
from reconciler.resource.stamp import Stamp
from reconciler.store import entries

NAMES = st.text("ab-é", min_size=1, max_size=3)
ADDRESSES = st.builds(Address, NAMES, NAMES, NAMES)
TEXTS = st.text('a\x00"\\$:ü€😀', max_size=8) | st.just('"$reconciler":"ref"')
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.builds(Ref, ADDRESSES, st.sampled_from(Side), st.booleans())
    | st.builds(Sealed, NAMES, st.none() | st.text("0123456789abcdef", max_size=4))
)
KEYS = TEXTS | st.just("$reconciler")
PAYLOADS = st.dictionaries(
    KEYS,
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


@given(PAYLOADS)
def test_a_payload_comes_back_as_it_went(payload: Payload) -> None:
    assert entries.decode(entries.encode(payload)) == payload


@given(PAYLOADS)
def test_the_stored_digest_is_the_digest_of_the_payload(payload: Payload) -> None:
    stored = hashlib.sha256(entries.encode(payload).encode()).hexdigest()

    assert stored == digest(payload)


def test_an_object_that_looks_like_a_reference_stays_an_object() -> None:
    payload: Payload = {
        "row": {"$reconciler": "ref", "address": "a/B/c", "side": "n8n"},
        "n8n": {"credential": Ref(Address("a", "Credential", "c"))},
    }

    assert entries.decode(entries.encode(payload)) == payload


def test_reading_entries_leaves_the_garbage_collector_as_it_was() -> None:
    row: tuple[Any, ...] = (
        "acme",
        "Automation",
        "a",
        "r1",
        '{"x":1}',
        None,
        None,
        [],
        None,
        None,
        None,
    )
    collecting = gc.isenabled()

    read = entries.read_all([(*row, False, False, None)])

    address = Address("acme", "Automation", "a")
    assert read == {address: Recorded(address=address, row_id="r1", payload={"x": 1})}
    assert gc.isenabled() is collecting


def test_a_stamp_with_one_mark_is_a_stamp() -> None:
    row: tuple[Any, ...] = ("acme", "Automation", "a", "r1", "{}", None, None, [], None, "v2", None)

    (entry,) = entries.read_all([(*row, False, False, None)]).values()

    assert entry.stamp == Stamp(published="v2")
