"""A plan as a comment: it always fits, always sums up, and user text stays text."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reconciler.plan.artifact import digest_of
from reconciler.plan.change import Plan
from reconciler.plan.markdown import LIMIT, escape, markdown
from reconciler.plan.planner import make_plan
from tests.plan_worlds import TRAITS, world


def plan_of(count: int, title: str = "new", name: str = "t") -> Plan:
    names = [f"Trigger/{name}{n}" for n in range(count)]
    old = {"row": {"title": "old"}}
    given: dict[str, Any] = {
        "desired": {text: {"row": {"title": title}} for text in names},
        "recorded": {text: {"payload": old} for text in names},
        "observed": {text: {"payload": old} for text in names},
    }
    return make_plan(world(given), TRAITS)


def test_a_small_plan_has_everything() -> None:
    plan = plan_of(1)

    text = markdown(plan)

    assert text.startswith(
        f"<!-- reconciler:plan digest={digest_of(plan)} -->\n### Plan: 0 to create"
    )
    assert "| `~` | acme/Trigger/t0 | changed in git |" in text
    assert 'row.title: "old" -> "new"' in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_a_plan_without_changes_says_so() -> None:
    assert "### No changes." in markdown(plan_of(0))


@pytest.mark.parametrize("count", [10, 200, 500, 3_000])
def test_any_plan_fits_a_comment_and_keeps_summary_and_digest(count: int) -> None:
    plan = plan_of(count, title="x" * 300)

    text = markdown(plan)

    assert len(text.encode("utf-16-le")) // 2 <= LIMIT
    assert f"Plan: 0 to create, {count} to update" in text
    assert text.count(digest_of(plan)) == 2
    assert text.count("<details>") == text.count("</details>")
    assert text.count("```") % 2 == 0


def test_detail_is_dropped_resource_by_resource_with_a_note() -> None:
    text = markdown(plan_of(500, title="x" * 300))

    shown = text.count("<details>")
    assert 0 < shown < 500
    assert f"The detail of {500 - shown} resources is left out" in text


def test_lines_of_the_table_are_dropped_when_even_those_do_not_fit() -> None:
    text = markdown(plan_of(3_000))

    listed = text.count("| changed in git |")
    assert 0 < listed < 3_000
    assert f"{3_000 - listed} more lines" in text


def test_characters_outside_the_basic_plane_count_twice() -> None:
    text = markdown(plan_of(400, title="\U0001f600" * 60, name="\U0001f600" * 20))

    assert len(text.encode("utf-16-le")) // 2 <= LIMIT


def test_a_bot_finds_its_own_comment_by_the_key() -> None:
    assert markdown(plan_of(1), key="prod").startswith("<!-- reconciler:prod digest=")
    assert markdown(plan_of(1), key="a --> <b>").split("\n")[0].count("-->") == 1


@pytest.mark.parametrize(
    "nasty",
    ["</details><script>", "a|b", "`code`", "```\n# heading", "@team #12", "[x](http://y)", "-->"],
)
def test_text_of_users_stays_text(nasty: str) -> None:
    plan = plan_of(1, title=nasty, name=nasty.replace("/", ""))

    text = markdown(plan)
    outside = re.sub(r"\n(`{3,})diff\n.*?\n\1\n", "\n", text, flags=re.DOTALL)

    assert "<script>" not in outside
    assert "@team" not in outside
    assert all(row.count("|") == 4 for row in outside.split("\n") if row.startswith("| `"))
    assert outside.count("<details>") == outside.count("</details>") == 1


def test_escaping_leaves_nothing_for_markdown_or_html() -> None:
    assert escape("a|b`c<d>&e") == "a&#124;b&#96;c&#60;d&#62;&#38;e"
