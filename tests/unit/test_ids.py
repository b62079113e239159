"""Ids of rows."""

from __future__ import annotations

import re
from collections import Counter

from reconciler.app.ids import new_id


def test_an_id_looks_as_cuid2_makes_them() -> None:
    assert all(re.fullmatch(r"[a-z][a-z0-9]{23}", new_id()) for _ in range(1000))


def test_no_id_comes_twice_and_no_letter_is_preferred() -> None:
    ids = [new_id() for _ in range(20_000)]

    assert len(ids) == len(set(ids))
    for at in range(24):
        counts = Counter(id_[at] for id_ in ids)
        expected = len(ids) / (26 if at == 0 else 36)
        assert max(counts.values()) < 1.3 * expected
        assert min(counts.values()) > 0.7 * expected
