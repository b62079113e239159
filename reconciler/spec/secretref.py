"""References to secrets: where a secret is, never what it is.

Not here: reading the secret (`reconciler.vault`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

from pydantic import Field

from reconciler.diagnostics import Problem
from reconciler.spec.model import Part, Path, Text

SOURCES: Final = ("env", "file", "age")
AGE_HINT: Final = "armored text that begins with -----BEGIN AGE ENCRYPTED FILE-----"
_AGE: Final = re.compile(
    r"\s*-----BEGIN AGE ENCRYPTED FILE-----\s[A-Za-z0-9+/=\s]+-----END AGE ENCRYPTED FILE-----\s*"
)
_ENV: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class SecretRef(Part):
    """Where a secret is kept; exactly one of the three."""

    env: Annotated[Text, Field(max_length=128)] | None = Field(
        default=None,
        description="Name of the environment variable that holds the secret",
        examples=["STRIPE_API_KEY"],
    )
    file: Annotated[Text, Field(min_length=1, max_length=4096)] | None = Field(
        default=None,
        description="Path of a file whose content, without the last line break, is the secret",
        examples=["/run/secrets/stripe"],
    )
    age: Annotated[Text, Field(max_length=65536)] | None = Field(
        default=None, description="The secret, encrypted with age: " + AGE_HINT
    )

    @classmethod
    def rules(cls, given: Mapping[str, object]) -> Iterator[Problem]:
        """Check that there is exactly one source, and its form."""
        used = [source for source in SOURCES if source in given]
        if len(used) != 1:
            said = "none is" if not used else " and ".join(used) + " are"
            message = f"a secret comes from exactly one of env, file and age; {said} given"
            yield Problem("CRE107", message, hint="such as {env: STRIPE_API_KEY}")
        env, age = given.get("env"), given.get("age")
        if isinstance(env, str) and _ENV.fullmatch(env) is None:
            # The text is not repeated: it may be the secret itself.
            message = "`env` is not the name of an environment variable"
            yield Problem("CRE102", message, ("env",), hint="name it, such as STRIPE_API_KEY")
        if isinstance(age, str) and _AGE.fullmatch(age) is None:
            message = "`age` does not hold an age-encrypted value"
            yield Problem("CRE103", message, ("age",), hint=AGE_HINT)


def secret_ref_problem(value: object, path: Path, name: str) -> Problem | None:
    """Say that the text *value* stands where a reference to a secret belongs, or None."""
    if isinstance(value, Mapping) or value is None:
        return None
    message = f"`{name}` holds a secret in plain text"
    hint = f"name where it is kept: {name}: {{env: NAME_OF_A_VARIABLE}}"
    return Problem("CRE101", message, path, hint=hint)
