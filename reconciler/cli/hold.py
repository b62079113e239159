"""`reconciler hold` and `unhold`: let healing, applying or running wait, with a reason and an end."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from reconciler import app
from reconciler.app.rollback import release
from reconciler.cli.given import DURATION
from reconciler.cli.options import output_option, server_options, settings_from, specs_option
from reconciler.cli.output import document, escape, result, say
from reconciler.cli.tables import table
from reconciler.errors import LockHeld, UsageError
from reconciler.plan.restraint import Hold, Place, What
from reconciler.resource.address import Address
from reconciler.settings import Settings
from reconciler.spec.quantity import MAX_DURATION, parse_duration
from reconciler.store.holds import Ends, Holds
from reconciler.store.sources import Sources

NEVER = "never"
_ROLLBACK = "rollback"  # a word of `unhold` only
_ENDLESS = f"{NEVER}: until you take it back"
_FAR = datetime(9999, 12, 31, tzinfo=UTC)  # a day before time ends: two clocks may differ
_PATIENCE = 30.0  # seconds for an apply that began before the hold


@click.command()
@server_options
@output_option
@click.argument("address", required=False)
@click.option("--what", default="heal,apply", show_default=True, help="heal, apply, fire.")
@click.option("--until", help="2h, 3d, 2026-12-24T18:00 (UTC unless it says otherwise), never.")
@click.option("--reason", help="Why; shown to everybody who meets the hold.")
def hold(
    address: str | None, what: str, until: str | None, reason: str | None, **given: Any
) -> int:
    """Let something wait at ADDRESS: a resource, acme/Automation, acme, or / for everything.

    heal: what is changed by hand stays. apply: new commits wait. fire: what is triggered
    waits in the queue. Without ADDRESS: list the holds.
    """
    settings = settings_from(given)
    if address is None:
        return asyncio.run(_list(settings, given["output"]))
    if not reason or not until:
        message = "a hold needs --reason and --until"
        raise UsageError(message, hint='e.g. --until 2h --reason "INC-42"')
    place = place_of(address)
    held = asyncio.run(_hold(settings, place, words(what, place), (reason, lasting(until))))
    _tell(held, given["output"])
    return 0


@click.command()
@specs_option
@server_options
@output_option
@click.argument("address")
@click.option("--what", help="Only heal, apply, fire or rollback [default: all of them].")
@click.option("--anyway", is_flag=True, help="Even if this applies again what was rolled back.")
def unhold(address: str, what: str | None, *, anyway: bool, **given: Any) -> int:
    """End the holds at exactly ADDRESS; ends a rollback with /."""
    settings = settings_from(given)
    ended = asyncio.run(_unhold(settings, place_of(address), ending(what), anyway=anyway))
    if not ended:
        message = f"nothing is held at {address}" if what is None else f"no {what} at {address}"
        raise UsageError(message, hint="`reconciler hold` lists the holds")
    if given["output"] == "json":
        document({"format_version": "1.0", "ended": [hold_document(hold) for hold in ended]})
        return 0
    for hold in ended:
        result(f"no longer held: {_words(hold)} at {hold.place} ({escape(hold.reason)})")
    return 0


async def _list(settings: Settings, output: str) -> int:
    async with app.open_database(settings) as database:
        holds = await Holds(database, new_id=app.new_id).open()
    if output == "json":
        document({"format_version": "1.0", "holds": [hold_document(hold) for hold in holds]})
    elif holds:
        result(holds_table(holds))
    else:
        say("nothing is held")
    return 0


async def _hold(
    settings: Settings, place: Place, what: frozenset[What], why: tuple[str, timedelta | None]
) -> Hold:
    reason, lasts = why
    async with app.open_session(settings, needs_n8n=False) as session:
        require_known(place, (await session.ledger().recorded()).keys())
        holds = Holds(session.database, new_id=app.new_id)
        held = await holds.place(place, what, by=app.actor(), reason=reason, lasts=lasts)
        if what & {What.HEAL, What.APPLY}:
            await _let_finish(session)
        return held


async def _let_finish(session: app.Session) -> None:
    """Wait for whoever writes now: he began before the hold, and need not know of it."""
    try:
        async with session.lock("hold").acquire(
            _PATIENCE, on_wait=lambda h: say(f"waiting for {h}")
        ):
            return
    except LockHeld as error:
        say(f"it may still change: {error}")


async def _unhold(
    settings: Settings, place: Place, ends: Ends, *, anyway: bool
) -> tuple[Hold, ...]:
    async with app.open_session(settings, needs_n8n=False) as session:
        ended = await release(session, place, ends, anyway=anyway)
        if ended:
            await Sources(session.database).ask()  # a daemon need not wait for its next turn
        return ended


def place_of(text: str) -> Place:
    """Read an address of `hold`; raises UsageError."""
    try:
        return Place.parse(text)
    except ValueError as error:
        hint = "e.g. acme/Automation/invoice-intake, acme, /"
        raise UsageError(str(error), hint=hint) from None


def words(text: str, place: Place) -> frozenset[What]:
    """Read --what; raises UsageError."""
    names = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [name for name in names if name not in set(What)]
    if wrong or not names:
        message = f"--what is one or more of {', '.join(What)}"
        raise UsageError(message, hint="separate them by commas")
    what = frozenset(What(name) for name in names)
    if What.FIRE in what and place.kind not in {None, "Automation"}:
        message = f"runs are held by automation, not by {place.kind}"
        raise UsageError(message, hint="hold the Automation, its organization, or /")
    return what


def ending(text: str | None) -> Ends:
    """Read --what of `unhold`; raises UsageError."""
    if text is None:
        return Ends()
    names = {word.strip() for word in text.split(",") if word.strip()}
    if not names or names - {*What, _ROLLBACK}:
        message = f"--what is one or more of {', '.join((*What, _ROLLBACK))}"
        raise UsageError(message, hint="separate them by commas")
    what = frozenset(What(name) for name in names - {_ROLLBACK})
    return Ends(what=what, rollback=_ROLLBACK in names)


def lasting(text: str) -> timedelta | None:
    """Read --until as the time that is left; None: without end. Raises UsageError."""
    if text == NEVER:
        return None
    try:
        lasts = parse_duration(text)
    except ValueError:
        if re.fullmatch(DURATION, text):  # or too many digits
            message = f"--until is too far away: a duration is at most {MAX_DURATION.days} days"
            raise UsageError(message, hint=_ENDLESS) from None
        lasts = _moment(text) - datetime.now(UTC)
    if lasts <= timedelta():
        message = f"--until {text} is over already"
        raise UsageError(message)
    return lasts


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"--until {text!r} is neither a duration nor a moment nor {NEVER}"
        raise UsageError(message, hint="e.g. 2h, 3d, 2026-12-24T18:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > _FAR:
        message = f"--until {text} is too far away"
        raise UsageError(message, hint=_ENDLESS)
    return moment


def require_known(place: Place, recorded: Iterable[Address]) -> None:
    """Refuse a place where nothing is recorded: a misspelt one would hold nothing."""
    known = sorted(recorded)
    if place == Place() or any(place.covers(address) for address in known):
        return
    near = difflib.get_close_matches(str(place), [str(address) for address in known], 1)
    message = f"nothing is recorded at {place}"
    raise UsageError(message, hint=f"did you mean {near[0]}?" if near else None)


def holds_table(holds: Iterable[Hold]) -> str:
    """Lay the holds out for people."""
    rows = [
        (
            str(hold.place),
            _words(hold),
            f"{hold.until:%Y-%m-%d %H:%M}" if hold.until else "unhold",
            escape(hold.by),
            escape(hold.reason),
        )
        for hold in holds
    ]
    return table(("HELD", "WHAT", "UNTIL (UTC)", "BY", "WHY"), rows)


def hold_document(hold: Hold) -> dict[str, Any]:
    """Give a hold as JSON."""
    return {
        "id": hold.id,
        "address": str(hold.place),
        "what": sorted(hold.what),
        "until": hold.until.isoformat() if hold.until else None,
        "since": hold.since.isoformat(),
        "by": hold.by,
        "reason": hold.reason,
        "pinned": hold.pinned,
        "rolled_back_from": hold.rolled_back_from,
    }


def _tell(held: Hold, output: str) -> None:
    if output == "json":
        document({"format_version": "1.0", "hold": hold_document(held)})
        return
    end = f"until {held.until:%Y-%m-%d %H:%M} UTC" if held.until else "until you unhold it"
    result(f"held: {_words(held)} at {held.place}, {end}")


def _words(hold: Hold) -> str:
    return ",".join(what for what in What if what in hold.what)
