"""The `reconciler` command: finds the subcommand, turns errors into messages and exit codes.

Subcommands are imported when they are called, so that `--help` and shell
completion answer at once.
"""

from __future__ import annotations

import gc
import importlib
import json
import signal
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn

import click

from reconciler import __version__
from reconciler.errors import ExitCode, ReconcilerError

# name -> (module, attribute, one line of help); in the order of `--help`
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("up", "up", "Start PostgreSQL and n8n here, apply the specs, and stay"),
    "daemon": ("daemon", "daemon", "Run automations and keep everything in step"),
    "init": ("init", "init", "Make a spec repository to begin with"),
    "validate": ("validate", "validate", "Check the spec files, offline"),
    "fmt": ("fmt", "fmt", "Bring spec files into their usual form"),
    "plan": ("plan", "plan", "Show what apply would change, and what drifted"),
    "apply": ("apply", "apply", "Make PostgreSQL and n8n match the specs"),
    "status": ("status", "status", "Show what is recorded, in sync and healthy"),
    "drift": ("drift", "drift", "Show what was changed outside git; --repair undoes it"),
    "hold": ("hold", "hold", "Let healing, applying or running wait for a while"),
    "unhold": ("hold", "unhold", "End holds, and rollbacks"),
    "rollback": ("rollback", "rollback", "Go back to a revision that was applied, and stay there"),
    "run": ("run", "run", "Run an automation by hand"),
    "executions": ("executions", "executions", "What ran, runs and waits; cancel, retry, watch"),
    "schedules": ("schedules", "schedules", "What fires when, also before it is applied"),
    "why": ("why", "why", "Say why an execution or a resource is as it is"),
    "webhook": ("webhook", "webhook", "What can be called; call one's own webhooks to try them"),
    "events": ("events", "events", "Send events, and see what became of them"),
    "token": ("token", "token", "Make, list and revoke tokens for the API"),
    "adopt": ("adopt", "adopt", "Write workflows that exist in n8n into the spec folder"),
    "db": ("db", "db", "Upgrade, downgrade or look at the database's version"),
    "schema": ("schema", "schema", "Write the JSON Schemas that editors use"),
    "doctor": ("doctor", "doctor", "Check settings, servers and the installation"),
    "completion": ("completion", "completion", "Print the shell completion script"),
}


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the subcommands in the order in which a user meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand *cmd_name*."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        found = getattr(importlib.import_module(f"reconciler.cli.{module}"), attribute)
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; an unknown one gets a suggestion."""
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            ctx.fail(f'No such command "{name}"{hint}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 2 changes, 3 invalid specs, 4 partly applied, 5 refused,"
    " 6 conflict, 7 unreachable, 8 timeout, 64 usage, 78 configuration, 130 interrupted.",
)
@click.version_option(__version__, prog_name="reconciler")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option("--no-color", is_flag=True, help="Plain text; NO_COLOR does the same.")
@click.pass_context
def cli(ctx: click.Context, *, debug: bool, no_color: bool) -> None:
    """GitOps for business automations: specs in git, n8n and PostgreSQL that match them."""
    ctx.ensure_object(dict)
    ctx.obj.update(debug=debug, no_color=no_color)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    # Thousands of small objects are made and kept: looking through them again and again for
    # cycles would cost a third of the time of a large plan.
    gc.set_threshold(200_000, 20, 20)
    # Whoever ends us politely gets what Ctrl-C gets: a summary, and books that are closed.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" not in words:
        sys.excepthook = _unexpected
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    try:
        result = cli.main(args=words, prog_name="reconciler", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.ctx.get_help(), file=sys.stderr)
        return ExitCode.USAGE
    except click.UsageError as error:
        usage = error.ctx.get_usage() + "\n" if error.ctx else ""
        return _fail(
            words, ReconcilerError(" ".join(error.format_message().split())), ExitCode.USAGE, usage
        )
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone, e.g. `| head`
        return ExitCode.OK
    except ReconcilerError as error:
        if "--debug" in words:
            raise
        return _fail(words, error, error.exit_code)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _fail(words: list[str], error: ReconcilerError, code: ExitCode, usage: str = "") -> int:
    from reconciler.cli.output import failure, wants_json

    if wants_json(words):
        document: dict[str, Any] = {
            "format_version": "1.0",
            "error": {"exit_code": int(code), "message": str(error), "hint": error.hint},
        }
        print(json.dumps(document, indent=2))
    failure(error, usage=usage)
    return code


def _unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    del trace
    text = f"{kind.__name__}: {error}".splitlines()[0][:300]
    print(f"error: something unexpected happened: {text}", file=sys.stderr)
    print("help: run it again with --debug and report what it prints", file=sys.stderr)
