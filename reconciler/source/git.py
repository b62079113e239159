"""Runs git so that no repository can make it do anything but hand out objects.

No configuration but ours, no hooks, no filters, no prompts, no checkout; arguments as lists, and
names that could be read as options are refused before. Not here: what is fetched and read.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.errors import ConfigError, GitUnreachable

SECONDS: Final = 90.0  # one call may take
MAX_OUTPUT: Final = 64 * 1024 * 1024  # bytes of one answer
MAX_SAID: Final = 1024 * 1024  # bytes of what it says about errors
MAX_PACK: Final = 2 * 1024 * 1024 * 1024  # bytes of one file that git may write
COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_KEPT: Final = ("PATH", "HOME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_CONFIG: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "transfer.fsckObjects=true",
    "protocol.version=2",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    "gc.auto=0",
    "maintenance.auto=false",
    "credential.helper=",
    "advice.detachedHead=false",
)
_BRANCH: Final = re.compile(r"[^\s~^:?*\[\\\x00-\x1f\x7f-\x9f]+")
_HOST: Final = r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
_USER: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_PATH: Final = r"[^\s\x00-\x1f\x7f-\x9f]+"
_SAFE_URLS: Final = (
    re.compile(rf"https://{_HOST}/{_PATH}"),
    re.compile(rf"ssh://(?:{_USER}@)?{_HOST}/{_PATH}"),
    re.compile(rf"{_USER}@{_HOST}:(?!//){_PATH}"),
)
_INSECURE_URLS: Final = (re.compile(rf"http://{_HOST}/{_PATH}"), re.compile(rf"file:///{_PATH}"))


def check_url(url: str, *, insecure: bool = False) -> str:
    """Return *url* if git may be asked for it; raises ConfigError."""
    allowed = (*_SAFE_URLS, *(_INSECURE_URLS if insecure else ()))
    if any(pattern.fullmatch(url) for pattern in allowed):
        return url
    if re.match(r"https?://[^/]*@", url):
        message = "the git URL holds a user or a password"
        raise ConfigError(message, hint="put the token into git_token_file")
    message = "the git URL is neither https://host/path nor ssh://user@host/path nor user@host:path"
    raise ConfigError(message, hint="see git_url in the settings")


def check_branch(name: str) -> str:
    """Return *name* if it is the name of a branch and can't be read as anything else."""
    parts = name.split("/")
    odd = (
        not _BRANCH.fullmatch(name)
        or name.startswith("-")
        or name == "@"
        or ".." in name
        or "@{" in name
        or any(not p or p.startswith(".") or p.endswith((".", ".lock")) for p in parts)
    )
    if odd:
        message = f"{name!r} can't be the name of a git branch"
        raise ConfigError(message, hint="see git_branch in the settings")
    return name


def check_folder(path: str) -> str:
    """Return *path* without slashes at its ends if it names a folder inside a repository."""
    clean = path.strip("/")
    parts = clean.split("/") if clean else []
    if any(p in {"", ".", ".."} or not p.isprintable() for p in parts) or path.startswith("/"):
        message = f"{path!r} is not a folder inside the repository"
        raise ConfigError(message, hint="see git_path in the settings")
    return clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call of git ended."""

    code: int
    out: bytes
    err: str

    @property
    def reason(self) -> str:
        """The last thing that git said, in one line."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
        last = (fatal or lines or [f"exit code {self.code}"])[-1]
        return last.removeprefix("fatal: ").removeprefix("error: ").rstrip(".")[:300]


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """git on one object database; *protocols* are those that it may reach others by."""

    folder: Path  # the git directory
    protocols: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a token
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    own: bool = True  # the repository is ours: nothing but our configuration counts
    seconds: float = SECONDS

    async def run(
        self, *words: str, stdin: bytes = b"", most: int = MAX_OUTPUT, seconds: float | None = None
    ) -> Ended:
        """Run one command; raises GitUnreachable when it can't be run or takes too long."""
        options = [part for value in _CONFIG for part in ("-c", value)]
        command = ["git", f"--git-dir={self.folder}", *options, *words]
        return await run(command, self._environment(), stdin, most, seconds or self.seconds)

    def _environment(self) -> dict[str, str]:
        kept = [*_KEPT, *_PROXIES, *(name.upper() for name in _PROXIES)]
        values = {name: self.environ[name] for name in kept if name in self.environ}
        values |= {
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_ALLOW_PROTOCOL": ":".join(self.protocols) or "none",
        }
        if self.own:
            values |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        return {**values, **self.variables}


async def run(
    command: Sequence[str], environment: Mapping[str, str], stdin: bytes, most: int, seconds: float
) -> Ended:
    """Run *command*, and end it with all its children when it is late or not wanted any more."""
    process = await _begin(command, environment)
    try:
        _limit(process.pid)
        async with asyncio.timeout(seconds):
            _, out, err = await asyncio.gather(
                _feed(process, stdin), _read(process, process.stdout, most), _say(process)
            )
            code = await process.wait()
    except TimeoutError:
        message = f"git did not answer within {seconds:.0f} s"
        raise GitUnreachable(message) from None
    finally:
        await _end(process)
    if len(out) > most:
        message = f"git answered with more than {most >> 20} MiB"
        raise GitUnreachable(message)
    return Ended(code=code, out=out, err=err.decode(errors="replace"))


async def _begin(
    command: Sequence[str], environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start *command*; who is cancelled meanwhile ends it, too.

    asyncio, cancelled while it starts a process, takes that one's end away from its own watcher,
    which then says that it does not know the process. So it is let start, and ended then.
    """
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(OSError):
            await _end(await starting)
        raise
    except OSError as error:
        message = f"git can't be run: {error.strerror}"
        raise GitUnreachable(message, hint="install git") from None


async def _end(process: asyncio.subprocess.Process) -> None:
    """End *process* and all its children, if it has not ended."""
    if process.returncode is None:
        _kill(process)
        # asyncio hears of the end only after the pipes were read to theirs.
        await asyncio.gather(_read(process, process.stdout, 0), _say(process))
        await process.wait()


def _limit(process_id: int) -> None:
    """Keep git from filling the disk with one file, where the system has such a limit."""
    if sys.platform == "linux":
        import resource

        with suppress(OSError, ValueError):
            resource.prlimit(process_id, resource.RLIMIT_FSIZE, (MAX_PACK, MAX_PACK))


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    # Its closing is not waited for: a cancelled wait would break asyncio's own end of the pipe.
    process.stdin.close()


async def _say(process: asyncio.subprocess.Process) -> bytes:
    return await _read(process, process.stderr, MAX_SAID)


async def _read(
    process: asyncio.subprocess.Process, stream: asyncio.StreamReader | None, most: int
) -> bytes:
    """Read to the end; what says more than *most* bytes is ended, and the rest thrown away."""
    assert stream is not None
    found = bytearray()
    while chunk := await stream.read(1 << 16):
        if len(found) <= most:
            found += chunk
        else:
            _kill(process)
    return bytes(found)


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
