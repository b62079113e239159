"""A value that must not be shown.

Not a vault: the value lies in memory in clear. The type only makes sure that it
never gets into a log, a message, a pickle or a debugger's repr by accident; the redaction
point knows every one that was made.
"""

from __future__ import annotations

import hmac
from typing import NoReturn

from reconciler.log import REDACTOR


class Secret:
    """A secret text; `reveal` is the only way to it, so every use can be found by its name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        REDACTOR.register((value,))

    def reveal(self) -> str:
        """Give the text; call it in the last line before the request that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    # Without a hash a secret can't be a key in something that is printed or stored.
    __hash__ = None  # type: ignore[assignment]  # object declares a method here

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        message = "a secret can't be pickled or copied"
        raise TypeError(message)
