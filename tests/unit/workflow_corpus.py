"""Real, messy workflows that people published: test data beside the repository, not in it.

``WORKFLOW_CORPUS`` names another folder with exports, one ``*.json`` each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(
    os.environ.get("WORKFLOW_CORPUS")
    or Path(__file__).parents[3] / "shared" / "corpus" / "workflows"
)


def corpus() -> dict[str, Any]:
    """Read the exports by file name; empty when there is no such folder."""
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(FOLDER.glob("*.json"))
    }
