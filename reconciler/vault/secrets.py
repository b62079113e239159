"""Where secret values come from, and what may be derived from them.

A spec never holds a secret, only a reference to it. References come from git,
and who may write specs may not read the machine: our own keys are refused, and
files must lie below named folders. Not here: what the values are used for.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hmac
import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ConfigError
from reconciler.settings import ENVIRONMENT
from reconciler.vault.keyring import Keyring
from reconciler.vault.secret import Secret

MAX_BYTES = 64 * 1024  # of a secret file; the largest real ones are key files of some 10 KiB
_DIGITS = 12  # hex digits of a fingerprint: 48 bits, enough to tell changes, too few to search by
_RESERVED = frozenset(ENVIRONMENT.values())


class SecretMissing(ConfigError):
    """A reference that leads nowhere on this machine: a variable that isn't set, a file not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """Where a secret value is; exactly one of the three is set, else ValueError."""

    env: str | None = None
    file: str | None = None
    age: str | None = None

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.env, self.file, self.age)) != 1:
            message = "exactly one of env, file and age is needed"
            raise ValueError(message)

    def __str__(self) -> str:
        if self.env is not None:
            return f"environment variable {self.env}"
        return "age value" if self.file is None else f"file {self.file}"


def fingerprint(
    keyring: Keyring, organization: str, credential: str, field: str, value: Secret
) -> str:
    """Give 12 hex digits that change with the value and tell nothing about it without the key."""
    parts = json.dumps([organization, credential, field, value.reveal()])
    key = keyring.current.derive("fingerprints")
    return hmac.digest(key, parts.encode(), "sha256").hex()[:_DIGITS]


def entry_secret(keyring: Keyring, organization: str) -> Secret:
    """Derive what n8n's managed entries of *organization* ask for in their header."""
    derived = keyring.current.derive(f"entry {json.dumps(organization)}")
    return Secret(base64.urlsafe_b64encode(derived).decode().rstrip("="))


class SecretSources:
    """Reads references: variables from *environ*, files below one of *folders*.

    Relative names start at the first folder. Files at or below a path of *private* are
    refused: that is where our own keys lie, such as ``.reconciler`` and ENCRYPTION_KEY_FILE.
    """

    def __init__(
        self, environ: Mapping[str, str], folders: Sequence[Path], private: Sequence[Path]
    ) -> None:
        self._environ = environ
        self._folders = tuple(folders)
        self._private = tuple(private)

    async def read(self, reference: SecretReference) -> Secret:
        """Read one value; raises SecretMissing when it is not there, ConfigError when refused."""
        if reference.env is not None:
            return self._variable(reference.env)
        if reference.file is not None:
            return await asyncio.to_thread(self._read_file, reference.file)
        message = "age-encrypted values are not supported yet"
        raise ConfigError(message, hint="use `env` or `file` instead")

    async def read_all(
        self, references: Iterable[SecretReference]
    ) -> dict[SecretReference, Secret | SecretMissing]:
        """Read many values; what is missing is an answer, what is refused raises ConfigError."""
        found: dict[SecretReference, Secret | SecretMissing] = {}
        for reference in references:
            try:
                found[reference] = await self.read(reference)
            except SecretMissing as missing:
                found[reference] = missing
        return found

    def _variable(self, name: str) -> Secret:
        if name in _RESERVED:
            message = f"{name} is reconciler's own setting and can't be used as a secret"
            raise ConfigError(message, hint="give the secret a variable of its own")
        value = self._environ.get(name, "")
        if not value:
            message = f"environment variable {name} is not set"
            raise SecretMissing(message, hint=f"set {name}")
        return Secret(value)

    def _read_file(self, name: str) -> Secret:
        try:
            path = self._inside(name)
            # Not blocking: a pipe would make us wait for ever before we see that it is one.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise _refused(name, "it is not a regular file")
                content = file.read(MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            message = f"secret file {name} is not there"
            raise SecretMissing(message, hint=f"create it below {self._folders[0]}") from None
        except (OSError, RuntimeError, ValueError) as error:  # loops of links, NUL in the name
            raise _refused(name, _reason(error)) from None
        return _text(name, content)

    def _inside(self, name: str) -> Path:
        """Follow all links and insist that the end lies below a folder; may raise OSError."""
        path = (self._folders[0] / name).resolve()
        if not any(path.is_relative_to(folder.resolve()) for folder in self._folders):
            allowed = " and ".join(str(folder) for folder in self._folders)
            raise _refused(name, f"it lies outside of {allowed}")
        if any(path.is_relative_to(private.resolve()) for private in self._private):
            raise _refused(name, "it lies among reconciler's own keys")
        return path


def _text(name: str, content: bytes) -> Secret:
    if len(content) > MAX_BYTES:
        raise _refused(name, f"it has more than {MAX_BYTES} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _refused(name, "it is not UTF-8 text") from None
    # Editors and `echo` end a file with a newline that is not part of the secret.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        message = f"secret file {name} is empty"
        raise SecretMissing(message, hint="write the secret into it")
    return Secret(text)


def _refused(name: str, why: str) -> ConfigError:
    return ConfigError(f"secret file {name} is refused: {why}")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return os.strerror(errno.ELOOP).lower() if isinstance(error, RuntimeError) else "bad name"
