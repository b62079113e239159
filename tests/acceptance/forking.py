"""A process that has imported everything and forks one command line after another.

It saves the second that an interpreter needs to start, so that a test can run hundreds of
commands. Each connection to its socket is one command: a request line in, a pid line and an
exit code line out. Run as a script; `tests.acceptance.shell` is its client.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from typing import Any, NoReturn

_NOT_COMMANDS = ("reconciler.__main__",)


def _import_everything() -> None:
    import reconciler

    for module in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if module.name not in _NOT_COMMANDS and "._" not in module.name:
            importlib.import_module(module.name)


def _become_the_command(request: dict[str, Any]) -> NoReturn:
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for descriptor, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.argv = ["reconciler", *request["words"]]
    code = 1
    try:
        from reconciler.cli.main import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # this is where an interpreter would end, too
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve_one(connection: socket.socket) -> NoReturn:
    with connection, connection.makefile("rw", encoding="utf-8") as stream:
        request = json.loads(stream.readline())
        pid = os.fork()
        if pid == 0:
            connection.detach()
            _become_the_command(request)
        stream.write(f"{pid}\n")
        stream.flush()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        stream.write(f"{code}\n")
        stream.flush()
    os._exit(0)


def main(path: str) -> None:
    """Serve commands on the socket *path* until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _import_everything()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready = select.select([listener, sys.stdin], [], [])[0]
            if sys.stdin in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _serve_one(connection)
            connection.close()
            while True:  # reap those that have ended
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break


if __name__ == "__main__":
    main(sys.argv[1])
