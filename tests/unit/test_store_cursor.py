"""How the names for values in a statement become numbers."""

from __future__ import annotations

import pytest

from reconciler.store.cursor import numbered


@pytest.mark.parametrize(
    "written, sent, names",
    [
        (b"SELECT 1", b"SELECT 1", ()),
        (b"SELECT %(a)s, %(b)s", b"SELECT $1, $2", ("a", "b")),
        (b"SELECT %(b)s, %(a)s, %(b)s", b"SELECT $1, $2, $1", ("b", "a")),
        (b"SELECT %s, %s", b"SELECT $1, $2", ("", "")),
        (b"SELECT %(n)s %% 7", b"SELECT $1 % 7", ("n",)),
        (b"SELECT '%%(n)s'", b"SELECT '%(n)s'", ()),
    ],
)
def test_each_name_gets_one_number(written: bytes, sent: bytes, names: tuple[str, ...]) -> None:
    assert numbered(written) == (sent, names)
