"""`reconciler token`: tokens for the API: make one, list them, revoke."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from reconciler.access import ALLOWED, Action, Role
from reconciler.cli.execution_view import time
from reconciler.cli.options import output_option, server_options, settings_from
from reconciler.cli.output import document, escape, result, say
from reconciler.cli.tables import table
from reconciler.errors import UsageError
from reconciler.settings import Settings
from reconciler.spec.quantity import parse_duration

if TYPE_CHECKING:
    from reconciler.app.desk import TokenWish
    from reconciler.store.tokens import NewToken, TokenRecord
    from reconciler.vault.secret import Secret


@click.group()
def token() -> None:
    """Tokens that programs and people use for the API."""


@token.command()
@server_options
@output_option
@click.argument("name")
@click.option("--organization", metavar="NAME", help="What it is for [default: the only one].")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role], case_sensitive=False),
    default=Role.OPERATOR.value,
    show_default=True,
    help="CLIENT: look; OPERATOR: look, run, send; ADMIN: everything.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([action.value for action in Action]),
    help="Only this, out of what the role may do; may be repeated.",
)
@click.option("--expires", default="90d", show_default=True, help="A duration, or `never`.")
@click.option("--user", metavar="EMAIL", help="The member it belongs to: it ends with them.")
def create(output: str, **given: Any) -> int:
    """Make a token called NAME; its text is shown once and stored nowhere."""
    from reconciler.app.desk import TokenWish

    role = Role(given["role"])
    scopes = frozenset(Action(word) for word in given["scopes"])
    beyond = sorted(scopes - ALLOWED[role])
    if beyond:
        message = f"the role {role} does not allow {', '.join(beyond)}"
        raise UsageError(message, hint="choose a higher role, or other scopes")
    wish = TokenWish(
        organization=given["organization"],
        name=given["name"],
        role=role,
        scopes=scopes,
        lasts=_lasts(given["expires"]),
        email=given["user"],
    )
    secret, new = asyncio.run(_create(settings_from(given), wish))
    if output == "json":
        document(
            {
                "format_version": "1.0",
                "id": new.id,
                "token": secret.reveal(),
                "role": new.role,
                "scopes": list(new.scopes),
            }
        )
        return 0
    result(secret.reveal())
    allowed = ", ".join(sorted(scopes or ALLOWED[role]))
    say(f"this is shown once; it is stored nowhere. It may: {allowed}")
    say(f"`reconciler token revoke {new.id}` ends it")
    return 0


def _lasts(text: str) -> timedelta | None:
    if text == "never":
        return None
    try:
        return parse_duration(text)
    except (ValueError, OverflowError):
        message = f'--expires takes a duration such as 90d, or never, not "{text}"'
        raise UsageError(message) from None


async def _create(settings: Settings, wish: TokenWish) -> tuple[Secret, NewToken]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        return await desk.make_token(wish)


@token.command("list")
@server_options
@output_option
@click.option("--organization", metavar="NAME", help="Only of this organization.")
def list_(output: str, organization: str | None, **given: Any) -> int:
    """List the tokens, never their text."""
    found = asyncio.run(_list(settings_from(given), organization))
    if output == "json":
        document({"format_version": "1.0", "tokens": [_document(one) for one in found]})
        return 0
    if not found:
        say("no tokens")
        return 0
    head = ("TOKEN", "NAME", "ORGANIZATION", "ROLE", "STATE", "LAST USED", "SCOPES")
    result(table(head, [_row(one) for one in found]))
    return 0


def _state(one: TokenRecord) -> str:
    if one.live:
        return "valid"
    return "revoked" if one.revoked_at is not None else "expired"


def _row(one: TokenRecord) -> tuple[str, ...]:
    return (
        one.id,
        escape(one.name),
        escape(one.organization),
        one.role,
        _state(one),
        "never" if one.last_used_at is None else time(one.last_used_at)[:16],
        ", ".join(one.scopes),
    )


def _document(one: TokenRecord) -> dict[str, Any]:
    moments = {
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "last_used_at": one.last_used_at,
        "revoked_at": one.revoked_at,
    }
    return {
        "id": one.id,
        "name": one.name,
        "organization": one.organization,
        "role": one.role,
        "scopes": list(one.scopes),
        "user": one.email,
        "created_by": one.created_by,
        "state": _state(one),
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
    }


async def _list(settings: Settings, organization: str | None) -> list[TokenRecord]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        home = None if organization is None else (await desk.organization(organization)).id
        return await desk.tokens.listed(home)


@token.command()
@server_options
@output_option
@click.argument("tokens", nargs=-1, required=True, metavar="TOKEN...")
@click.option("--organization", metavar="NAME", help="Only of this organization.")
def revoke(output: str, tokens: tuple[str, ...], organization: str | None, **given: Any) -> int:
    """Revoke tokens, by id or name; from then on they are refused."""
    ended = asyncio.run(_revoke(settings_from(given), organization, tokens))
    if output == "json":
        document({"format_version": "1.0", "revoked": ended})
    else:
        for id_ in ended:
            result(f"{id_} is revoked")
    return 0


async def _revoke(
    settings: Settings, organization: str | None, named: tuple[str, ...]
) -> list[str]:
    from reconciler.app.desk import open_desk

    async with open_desk(settings) as desk:
        return await desk.revoke_tokens(organization, named)
