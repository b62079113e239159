"""A plan as a comment on a pull request: the summary always fits, detail is folded and then dropped."""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconciler.plan.artifact import digest_of
from reconciler.plan.change import Plan
from reconciler.plan.outline import Item, Outline, outline
from reconciler.plan.render import detail_lines
from reconciler.plan.words import clean, plural, shorten

LIMIT = 65_536  # characters that GitHub takes in one comment
_WIDTH = 110  # columns of the folded detail
_CELL = 300  # characters of a cell: a reason, not an essay
_SPECIAL = re.compile(r"[`|<>&*_\[\]\\~@#$]")
_WORDS = ("create", "update", "replace", "adopt", "move", "remove", "discard", "blocked")


def markdown(plan: Plan, *, key: str = "plan", limit: int = LIMIT) -> str:
    """Write *plan* as GitHub Markdown of at most *limit* characters.

    The first line is a hidden marker with *key*, by which a bot finds its own
    comment again, and the digest, by which it sees that nothing changed.
    """
    shown, digest = outline(plan), digest_of(plan)
    head = _head(plan, shown, digest, key)
    foot = f"\n<sub>plan digest `{digest}`</sub>\n"
    rows = _rows(shown)
    room = limit - _size(head) - _size(foot)
    table, left = _fitting(rows, room - _NOTE)
    parts = [head, _table(table, len(rows))]
    if len(table) == len(rows):
        folded = [block for item in (*shown.drift, *shown.planned) if (block := _folded(item))]
        kept, _ = _fitting(folded, left)
        parts += kept
        if len(kept) < len(folded):
            missing = plural(len(folded) - len(kept), "resource")
            parts.append(f"\n_The detail of {missing} is left out; it is in the JSON plan._\n")
    return "".join([*parts, foot])


_NOTE = 600  # characters kept free for the table's frame and the notes about what is left out
_HEADER = "\n| | resource | why |\n|---|---|---|\n"


def _head(plan: Plan, shown: Outline, digest: str, key: str) -> str:
    marker = (
        f"<!-- reconciler:{_SPECIAL.sub('', clean(key)).replace('-->', '')} digest={digest} -->"
    )
    counts = plan.counts()
    words = [w for w in _WORDS if counts.get(w) or w in {"create", "update", "remove", "blocked"}]
    lines = [marker, f"### {escape(shown.summary)}", ""]
    if plan.revision:
        lines += [f"Revision {escape(shorten(plan.revision, 80))}", ""]
    lines += [
        f"| {' | '.join([*words, 'drifted', 'unchanged'])} |",
        f"|{'---:|' * (len(words) + 2)}",
        f"| {' | '.join(str(counts.get(w, 0)) for w in words)} | {len(shown.drift)} | {shown.unchanged} |",
        "",
    ]
    return "\n".join(lines)


def _rows(shown: Outline) -> list[str]:
    rows = [_row(item, "drift: ") for item in shown.drift]
    rows += [_row(item, "") for item in shown.planned]
    rows += [
        f"| | {escape(shorten(a, _CELL))} | recorded but not declared |\n" for a in shown.undeclared
    ]
    return rows


def _row(item: Item, prefix: str) -> str:
    why = prefix + item.why + (f" — blocked: {item.blocked}" if item.blocked else "")
    address = escape(shorten(item.address, _CELL))
    return f"| `{item.sign}` | {address} | {escape(shorten(why, _CELL))} |\n"


def _table(rows: Sequence[str], total: int) -> str:
    if not total:
        return ""
    left = total - len(rows)
    more = f"\n_{plural(left, 'more line')} and all detail: in the JSON plan._\n" if left else ""
    return _HEADER + "".join(rows) + more


def _folded(item: Item) -> str | None:
    lines = detail_lines(item, _WIDTH)
    if not lines:
        return None
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    title = f"{item.sign} {item.address}" + (" (drift)" if item.action == "drift" else "")
    return (
        f"\n<details><summary>{escape(shorten(title, _CELL))}</summary>\n\n"
        f"{fence}diff\n{text}\n{fence}\n\n</details>\n"
    )


def escape(text: str) -> str:
    """Make *text* mean nothing to Markdown and HTML."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", clean(text))


def _fitting(blocks: Sequence[str], room: int) -> tuple[list[str], int]:
    """Take blocks from the front as long as they fit; return them and the room that is left."""
    kept: list[str] = []
    for block in blocks:
        room_after = room - _size(block)
        if room_after < 0:
            return kept, room
        kept.append(block)
        room = room_after
    return kept, room


def _size(text: str) -> int:
    """Count as GitHub's browsers do, in UTF-16 units: never less than characters."""
    return len(text.encode("utf-16-le")) // 2
