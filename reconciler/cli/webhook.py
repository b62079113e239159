"""`reconciler webhook`: what can be called, and calls to one's own webhooks for trying them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from reconciler.app.webhook_calls import Answer, Outgoing, listed, send, signed_headers
from reconciler.cli.given import bytes_given
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import Paint, document, escape, painter, result, say
from reconciler.cli.refused import refused
from reconciler.cli.tables import Layout, fitting
from reconciler.clock import SystemClock
from reconciler.errors import ExitCode, UsageError
from reconciler.resource.json_text import json_text
from reconciler.store.webhooks import Listed

HEAD: Final = (
    "WEBHOOK", "STATE", "SCHEME", "METHODS", "CALLS", "REFUSED (24 H)", "LAST (UTC)", "URL",
)  # fmt: skip
_UNCUT: Final = 10_000  # more than an address has
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


@click.group()
def webhook() -> None:
    """What can be called, and calls to one's own webhooks."""


webhook.add_command(refused)


@webhook.command("list")
@server_options
@output_option
def list_(output: str, **given: Any) -> int:
    """List the webhooks that are applied, with how often they were called and refused."""
    found = asyncio.run(listed(settings_from(given)))
    if output == "json":
        document({"format_version": "1.0", "webhooks": [_document(one) for one in found]})
        return 0
    if not found:
        say("no webhooks")
        return 0
    result(list_table(found))
    return 0


def list_table(found: Sequence[Listed]) -> str:
    """Lay the webhooks out; where their addresses have no room, each stands below its row, uncut."""
    paint = painter(sys.stdout)
    rows = [_row(one, paint) for one in found]

    def only(*columns: int, room: int = 20) -> Layout:
        picked = [[line[n] for n in columns] for line in (HEAD, *rows)]
        return Layout(head=picked[0], rows=picked[1:], room=room)

    text = fitting(
        only(*range(8), room=_UNCUT),
        only(*range(7)),
        only(0, 1, 3, 4, 5, 6),  # without the scheme
        only(0, 1, 3, 4, 5),  # and without the last call
    )
    head, *lines = text.split("\n")
    if head.endswith(HEAD[-1]):
        return text
    below = [f"{line}\n  {escape(one.url)}" for line, one in zip(lines, found, strict=False)]
    return "\n".join([head, *below])


def body_options(command: Any) -> Any:
    """Add what describes a call."""
    for option in (
        click.option("--id", "id_", metavar="ID", help="Sent twice, it counts once."),
        click.option("--content-type", default="application/json", show_default=True),
        click.option("--body", metavar="TEXT", help="The body: text, @file or - for stdin."),
    ):
        command = option(command)
    return command


@webhook.command("send")
@specs_option
@server_options
@output_option
@body_options
@click.option("--method", type=click.Choice(_METHODS), default="POST", show_default=True)
@click.option("--header", "headers", multiple=True, metavar="NAME: VALUE", help="One more header.")
@click.option(
    "--query", "queries", multiple=True, metavar="NAME=VALUE", help="One more parameter of the URL."
)
@click.option("--wait", metavar="TIME", help="Wait for the result, such as 10s (at most 60s).")
@click.option("--url", metavar="ADDRESS", help="Where the daemon answers [default: public_url].")
@click.argument("name")
def send_(output: str, name: str, **given: Any) -> int:
    """Call the webhook NAME, signed with the secret that its spec names.

    NAME is an automation with one webhook, or a webhook (invoice-intake.orders,
    acme/invoice-intake.orders). The exit code is 0 when the call was taken, 5 when it was refused,
    7 when it can be tried again later.
    """
    call = Outgoing(
        body=bytes_given(given["body"], "--body"),
        method=given["method"],
        content_type=given["content_type"],
        id=given["id_"],
        headers=_headers(given["headers"]),
        query=_query(given["queries"]),
        wait=given["wait"],
    )
    now = SystemClock().now()
    answer = asyncio.run(send(settings_from(given), name, call, now, base=given["url"]))
    if output == "json":
        document(
            {
                "format_version": "1.0",
                "url": answer.url,
                "status": answer.status,
                "headers": dict(answer.headers),
                "body": _body(answer),
            }
        )
    else:
        _show(answer)
    return _exit_code(answer.status)


@webhook.command("sign")
@specs_option
@output_option
@body_options
@click.argument("name")
def sign(output: str, name: str, **given: Any) -> int:
    """Print the headers that let a body in at the webhook NAME, for use with curl; needs no server.

    For example: reconciler webhook sign NAME --body @order.json | curl -H @- --data-binary
    @order.json URL. Their time is checked: use them within five minutes.
    """
    call = Outgoing(
        body=bytes_given(given["body"], "--body"),
        method="POST",
        content_type=given["content_type"],
        id=given["id_"],
    )
    now = SystemClock().now()
    headers = asyncio.run(signed_headers(settings_from(given), name, call, now))
    if output == "json":
        document({"format_version": "1.0", "headers": headers})
        return 0
    for key, value in headers.items():
        result(f"{key}: {value}")
    return 0


def _headers(lines: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not (name + value).isprintable():
            message = f'--header "{escape(line)}" is not NAME: VALUE'
            raise UsageError(message)
        found[name.strip()] = value.strip()
    return found


def _query(words: tuple[str, ...]) -> list[tuple[str, str]]:
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            message = f'--query "{escape(word)}" is not NAME=VALUE'
            raise UsageError(message)
        if name == "wait":  # the server would take it for its own
            message = "--query can't give wait, which is not handed on"
            raise UsageError(message, hint="--wait 10s waits for the result")
        found.append((name, value))
    return found


def _body(answer: Answer) -> Any:
    text = answer.content.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _show(answer: Answer) -> None:
    body = _body(answer)
    if not isinstance(body, dict):
        result(f"{answer.status}")
        result(escape(str(body) if isinstance(body, str) else json_text(body, indent=2)))
        return
    error, id_ = body.get("error"), body.get("executionId")
    if isinstance(error, dict):
        after = answer.headers.get("retry-after")
        wait = f"; try again in {after} s" if after else ""
        result(escape(f"{answer.status}  {error.get('code')}: {error.get('message')}{wait}"))
        return
    known = "  known already" if body.get("duplicate") else ""
    if "executionId" not in body:
        result(f"{answer.status}")
        result(escape(json_text(body, indent=2, ensure_ascii=False)))
        return
    result(escape(f"{answer.status}  {id_ or '-'}  {body.get('status')}{known}"))
    if "output" in body:
        result(escape(json_text(body["output"], indent=2, ensure_ascii=False)))
    elif id_ and answer.status == 202:
        say(f"`reconciler executions watch {escape(str(id_))}` follows it")


def _exit_code(status: int) -> int:
    if status < 400:
        return ExitCode.OK
    return ExitCode.UNREACHABLE if status in {408, 429} or status >= 500 else ExitCode.REFUSED


def _row(one: Listed, paint: Paint) -> tuple[str, ...]:
    auth = one.auth if isinstance(one.auth, dict) else {}
    last = "-" if one.last_called_at is None else f"{one.last_called_at:%Y-%m-%d %H:%M:%S}"
    return (
        escape(f"{one.organization}/{one.name}"),
        paint("create", "active") if one.active else paint("dim", "inactive"),
        escape(str(auth.get("scheme", "?"))),
        escape(" ".join(str(method) for method in auth.get("methods") or ["POST"])),
        str(one.calls),
        str(one.rejected),
        last,
        escape(one.url),
    )


def _document(one: Listed) -> dict[str, Any]:
    auth = one.auth if isinstance(one.auth, dict) else {}
    return {
        "webhook": f"{one.organization}/{one.name}",
        "organization": one.organization,
        "automation": one.automation,
        "automation_id": one.automation_id,
        "trigger_id": one.trigger_id,
        "active": one.active,
        "scheme": auth.get("scheme"),
        "methods": auth.get("methods") or ["POST"],
        "url": one.url,
        "calls": one.calls,
        "refused_last_day": one.rejected,
        "last_called_at": None if one.last_called_at is None else one.last_called_at.isoformat(),
    }
