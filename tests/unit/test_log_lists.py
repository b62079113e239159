"""How lists look in the log for people."""

from __future__ import annotations

import pytest

from reconciler.log import _shown


@pytest.mark.parametrize(
    "value, shown",
    [(["api", "worker"], "api,worker"), (["a b"], '"a b"'), ([], "[]"), ([1, 2], '"[1, 2]"')],
)
def test_words_are_separated_by_commas_and_need_no_quotes(value: object, shown: str) -> None:
    assert _shown(value) == shown
