"""Runs tests/cases/plan: three states in, changes with their reasons out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.plan.planner import make_plan
from tests.plan_worlds import TRAITS, describe, options, short, world

FOLDER = Path(__file__).parents[1] / "cases" / "plan"
CASES = [
    case for file in sorted(FOLDER.glob("*.yaml")) for case in yaml.safe_load_all(file.read_text())
]


@pytest.mark.parametrize("case", [pytest.param(c, id=c["case"].replace(" ", "-")) for c in CASES])
def test_case(case: dict[str, Any]) -> None:
    plan = make_plan(world(case["given"]), TRAITS, options(case.get("options", {})))

    expected = case["expect"]
    keys = [*expected, *({"change": 1} for _ in plan.changes)]
    assert [describe(c, k) for c, k in zip(plan.changes, keys, strict=False)] == expected
    assert [f"{short(d.address)} {d.reason.value}" for d in plan.drift] == case.get("drift", [])
    assert [short(a) for a in plan.undeclared] == case.get("undeclared", [])
